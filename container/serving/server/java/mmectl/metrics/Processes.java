package mmectl.metrics;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

/**
 * The processes of the container, which the entrypoint leads as a group (Linux's /proc): how many
 * of each kind, and the memory that only they hold and that cannot be dropped.
 */
final class Processes {
    private static final Path PROC = Paths.get("/proc");
    private static final int STATE = 0;
    private static final int GROUP = 2;
    private static final String[] KINDS = {"host", "worker", "server", "other"};
    private static final long FRESH = 5_000_000_000L;

    private static Processes last;
    private static long lookedAt;

    final Map<String, Integer> kinds = new TreeMap<>();
    long bytes;

    private Processes() {
        Arrays.asList(KINDS).forEach(kind -> kinds.put(kind, 0));
    }

    /** What there is, not older than five seconds: a look reads a file of each process. */
    static synchronized Processes found() {
        if (last == null || System.nanoTime() - lookedAt > FRESH) {
            last = looked();
            lookedAt = System.nanoTime();
        }
        return last;
    }

    private static Processes looked() {
        Processes found = new Processes();
        String own = fields(PROC.resolve("self"))[GROUP];
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(PROC, "[0-9]*")) {
            for (Path entry : entries) {
                String[] fields = fields(entry);
                if (fields.length > GROUP && fields[GROUP].equals(own) && !fields[STATE].equals("Z")) {
                    found.kinds.merge(kind(text(entry.resolve("cmdline"))), 1, Integer::sum);
                    found.bytes += held(entry);
                }
            }
        } catch (IOException e) {
            return found;
        }
        return found;
    }

    private static String[] fields(Path process) {
        String stat = text(process.resolve("stat"));
        return stat.substring(stat.lastIndexOf(')') + 1).trim().split(" ");
    }

    private static String kind(String command) {
        if (command.contains("serving.workers.host\0") || command.endsWith("serving.workers.host")) {
            return "host";
        }
        if (command.contains("\0--model-name\0")) {
            return "worker";
        }
        return command.contains("com.amazonaws.ml.mms.ModelServer") ? "server" : "other";
    }

    /** Bytes; forked processes hold pages together, of which each counts for its part. */
    private static long held(Path process) {
        long bytes = sum(text(process.resolve("smaps_rollup")), "Pss_Anon:", "SwapPss:");
        return bytes > 0 ? bytes : sum(text(process.resolve("status")), "VmRSS:");
    }

    private static long sum(String text, String... names) {
        long kilobytes = 0;
        for (String line : text.split("\n")) {
            for (String name : names) {
                if (line.startsWith(name)) {
                    kilobytes += Long.parseLong(line.replaceAll("\\D", ""));
                }
            }
        }
        return kilobytes * 1024;
    }

    /** What stands in a file of /proc; nothing where the process is gone. */
    private static String text(Path path) {
        try {
            return new String(Files.readAllBytes(path), StandardCharsets.ISO_8859_1);
        } catch (IOException | SecurityException e) {
            return "";
        }
    }
}
