# SPDX-License-Identifier: Apache-2.0
"""One party of SPU's ECDH PSI. Runs inside an environment that has `spu`; see pair.py."""

from __future__ import annotations

import json
import sys
import time

import spu.libspu.link as link  # type: ignore[import-not-found]
from spu import psi


def main() -> None:
    """Intersect."""
    rank, (port0, port1), source, target = int(sys.argv[1]), sys.argv[2:4], sys.argv[4], sys.argv[5]
    description = link.Desc()
    description.id = "pair"
    description.add_party("0", f"127.0.0.1:{port0}")
    description.add_party("1", f"127.0.0.1:{port1}")
    context = link.create_brpc(description, rank)
    csv = psi.SourceType.SOURCE_TYPE_FILE_CSV
    config = psi.PsiExecuteConfig(
        protocol_conf=psi.PsiProtocolConfig(
            protocol=psi.PsiProtocol.PROTOCOL_ECDH,
            receiver_rank=0,
            broadcast_result=False,
            ecdh_params=psi.EcdhParams(curve=psi.EllipticCurveType.CURVE_25519),
        ),
        input_params=psi.InputParams(type=csv, path=source, selected_keys=["id"], keys_unique=True),
        output_params=psi.OutputParams(type=csv, path=target, disable_alignment=True),
    )
    wall, cpu = time.perf_counter(), time.process_time()
    report = psi.psi_execute(config, context)
    told = {
        "protocol_wall": time.perf_counter() - wall,
        "protocol_cpu": time.process_time() - cpu,
        "sent": None,
        "found": report.intersection_count,
    }
    context.stop_link()
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
