//! Which of the curve library's implementations this process uses.
//!
//! `curve25519-dalek` asks the processor at run time, at every operation and through a cached answer:
//! AVX-512 IFMA, then AVX2, then portable 64-bit code. AVX-512 must have been compiled in, which the
//! repository's `.cargo/config.toml` does. Results are the same bytes whichever runs. It tells nobody
//! its choice, so the same question is asked here with the same conditions.

/// `avx512ifma`, `avx2` or `serial`.
pub fn name() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        let compiled = cfg!(any(
            curve25519_dalek_backend = "avx512",
            all(target_feature = "avx512ifma", target_feature = "avx512vl")
        ));
        let forced = cfg!(any(
            curve25519_dalek_backend = "serial",
            curve25519_dalek_backend = "fiat"
        ));
        if compiled
            && std::is_x86_feature_detected!("avx512ifma")
            && std::is_x86_feature_detected!("avx512vl")
        {
            return "avx512ifma";
        }
        if !forced && std::is_x86_feature_detected!("avx2") {
            return "avx2";
        }
    }
    "serial"
}
