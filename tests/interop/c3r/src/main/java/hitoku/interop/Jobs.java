// SPDX-License-Identifier: Apache-2.0
package hitoku.interop;

import java.util.List;

/** What the harness is asked to do; the field names are those of the JSON file. */
final class Jobs {
    private Jobs() { }

    /** The JSON file: jobs, run in order. */
    static final class Batch {
        List<Job> jobs;
    }

    /** One file to encrypt or decrypt. */
    static final class Job {
        String name;
        String mode;
        String format;
        String source;
        String target;
        String schema;
        String id;
        Settings settings;
        String csvInputNull;
        String csvOutputNull;
        boolean failOnFingerprints;
        boolean binaryAsString;
        String tempDir;
    }

    /** The four settings of the collaboration, given here instead of asked of AWS. */
    static final class Settings {
        boolean allowCleartext;
        boolean allowDuplicates;
        boolean allowJoinsOnColumnsWithDifferentNames;
        boolean preserveNulls;
    }

    /** What came of one job, printed as one line of JSON. */
    static final class Outcome {
        final String name;
        final boolean ok;
        final String error;
        final double seconds;

        Outcome(final String name, final boolean ok, final String error, final double seconds) {
            this.name = name;
            this.ok = ok;
            this.error = error;
            this.seconds = seconds;
        }
    }
}
