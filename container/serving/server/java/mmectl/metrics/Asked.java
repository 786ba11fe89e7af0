package mmectl.metrics;

import java.io.UnsupportedEncodingException;
import java.net.URLDecoder;

/** What one request asks for, and since when. */
public final class Asked {
    /** The header with which SageMaker names the model as its callers do. */
    public static final String TARGET_MODEL = "X-Amzn-SageMaker-Target-Model";

    private static final String MODELS = "/models";
    private static final String INVOKE = "/invoke";

    private final long began = System.nanoTime();
    private final Kind kind;
    private final String model;
    private boolean answered;

    private Asked(Kind kind, String model) {
        this.kind = kind;
        this.model = model;
        if (kind == Kind.INVOKE) {
            Counts.OF_SERVER.begun();
        }
    }

    /** Read a request; {@code target} is the header's value, null without one. */
    public static Asked of(String method, String uri, String target) {
        int query = uri.indexOf('?');
        String path = query < 0 ? uri : uri.substring(0, query);
        if (path.startsWith(MODELS + '/') && path.endsWith(INVOKE)) {
            int from = MODELS.length() + 1;
            int to = path.length() - INVOKE.length();
            if (to > from) {
                String name = target != null ? target : decoded(path.substring(from, to));
                return new Asked(Kind.INVOKE, name);
            }
        }
        if (path.equals(MODELS) && method.equals("POST")) {
            return new Asked(Kind.LOAD, "");
        }
        boolean unload = path.startsWith(MODELS + '/') && method.equals("DELETE");
        return new Asked(unload ? Kind.UNLOAD : Kind.OTHER, "");
    }

    private static String decoded(String name) {
        try {
            return name.indexOf('%') < 0 ? name : URLDecoder.decode(name.replace("+", "%2B"), "UTF-8");
        } catch (IllegalArgumentException | UnsupportedEncodingException e) {
            return name;
        }
    }

    /** Count the answer, once. */
    public void answered(int status) {
        if (!answered) {
            answered = true;
            Counts.OF_SERVER.ended(kind, model, status, nanoseconds());
        }
    }

    public long nanoseconds() {
        return System.nanoTime() - began;
    }

    enum Kind {
        INVOKE,
        LOAD,
        UNLOAD,
        OTHER
    }
}
