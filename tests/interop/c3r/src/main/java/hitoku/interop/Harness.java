// SPDX-License-Identifier: Apache-2.0
package hitoku.interop;

import com.amazonaws.c3r.action.CsvRowMarshaller;
import com.amazonaws.c3r.action.CsvRowUnmarshaller;
import com.amazonaws.c3r.action.ParquetRowMarshaller;
import com.amazonaws.c3r.action.ParquetRowUnmarshaller;
import com.amazonaws.c3r.action.RowMarshaller;
import com.amazonaws.c3r.action.RowUnmarshaller;
import com.amazonaws.c3r.config.ClientSettings;
import com.amazonaws.c3r.config.DecryptConfig;
import com.amazonaws.c3r.config.EncryptConfig;
import com.amazonaws.c3r.config.ParquetConfig;
import com.amazonaws.c3r.config.TableSchema;
import com.amazonaws.c3r.encryption.keys.KeyUtil;
import com.amazonaws.c3r.io.FileFormat;
import com.amazonaws.c3r.json.GsonUtil;
import com.google.gson.Gson;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import javax.crypto.SecretKey;

/**
 * Runs AWS's C3R SDK on local files. No network: the settings AWS's own command line asks of AWS come with the job.
 *
 * <p>Usage: {@code java -cp 'target/classes:target/lib/*' hitoku.interop.Harness JOBS.json}, the secret in
 * {@code C3R_SHARED_SECRET}. One line of JSON per job on standard output; the exit code is 0 even where jobs fail.
 */
public final class Harness {
    private Harness() { }

    public static void main(final String[] arguments) throws Exception {
        final Gson gson = new Gson();
        final SecretKey secret = KeyUtil.sharedSecretKeyFromString(System.getenv(KeyUtil.KEY_ENV_VAR));
        final String text = Files.readString(Path.of(arguments[0]), StandardCharsets.UTF_8);
        for (final Jobs.Job job : gson.fromJson(text, Jobs.Batch.class).jobs) {
            final long start = System.nanoTime();
            String error = null;
            try {
                if (job.mode.equals("encrypt")) {
                    encrypt(job, secret);
                } else {
                    decrypt(job, secret);
                }
            } catch (final Exception problem) {
                error = problem.getClass().getSimpleName() + ": " + problem.getMessage();
            }
            final double seconds = (System.nanoTime() - start) / 1e9;
            System.out.println(gson.toJson(new Jobs.Outcome(job.name, error == null, error, seconds)));
        }
    }

    private static FileFormat format(final Jobs.Job job) {
        return FileFormat.valueOf(job.format.toUpperCase(Locale.ROOT));
    }

    private static void encrypt(final Jobs.Job job, final SecretKey secret) throws Exception {
        final TableSchema schema = GsonUtil.fromJson(job.schema, TableSchema.class);
        final EncryptConfig config = EncryptConfig.builder()
                .secretKey(secret)
                .sourceFile(job.source)
                .fileFormat(format(job))
                .targetFile(job.target)
                .tempDir(job.tempDir)
                .overwrite(true)
                .csvInputNullValue(job.csvInputNull)
                .csvOutputNullValue(job.csvOutputNull)
                .salt(job.id)
                .settings(ClientSettings.builder()
                        .allowCleartext(job.settings.allowCleartext)
                        .allowDuplicates(job.settings.allowDuplicates)
                        .allowJoinsOnColumnsWithDifferentNames(job.settings.allowJoinsOnColumnsWithDifferentNames)
                        .preserveNulls(job.settings.preserveNulls)
                        .build())
                .tableSchema(schema)
                .build();
        final RowMarshaller<?> marshaller = config.getFileFormat() == FileFormat.CSV
                ? CsvRowMarshaller.newInstance(config)
                : ParquetRowMarshaller.newInstance(
                        config, ParquetConfig.builder().binaryAsString(job.binaryAsString).build());
        try {
            marshaller.marshal();
        } finally {
            marshaller.close();
        }
    }

    private static void decrypt(final Jobs.Job job, final SecretKey secret) {
        final DecryptConfig config = DecryptConfig.builder()
                .secretKey(secret)
                .sourceFile(job.source)
                .fileFormat(format(job))
                .targetFile(job.target)
                .overwrite(true)
                .csvInputNullValue(job.csvInputNull)
                .csvOutputNullValue(job.csvOutputNull)
                .salt(job.id)
                .failOnFingerprintColumns(job.failOnFingerprints)
                .build();
        final RowUnmarshaller<?> unmarshaller = config.getFileFormat() == FileFormat.CSV
                ? CsvRowUnmarshaller.newInstance(config)
                : ParquetRowUnmarshaller.newInstance(config);
        try {
            unmarshaller.unmarshal();
        } finally {
            unmarshaller.close();
        }
    }
}
