package mmectl.metrics;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Which models have figures of their own: the most asked ones, {@code most} of them; all others
 * share those of {@link #OTHER}.
 *
 * <p>A model takes the place of another at a look, where it was asked more than twice as often of
 * late. Counters never fall: those of a model that lost its name end with it, and are in none that
 * go on.
 */
final class Names {
    /** A model of this very name is counted with the others. */
    static final String OTHER = "other";

    private static final int MOST_WAITING = 8192;

    private final int most;
    private final Map<String, Series> named = new ConcurrentHashMap<>();
    private final Map<String, Long> waiting = new HashMap<>();
    private final Series others = new Series();

    Names(int most) {
        this.most = most;
    }

    /** Where a request of that model counts. */
    Series of(String model) {
        String name = printable(model);
        Series found = named.get(name);
        if (found != null) {
            return found;
        }
        return name.equals(OTHER) ? others : admitted(name);
    }

    Series others() {
        return others;
    }

    private synchronized Series admitted(String name) {
        if (named.size() < most) {
            return named.computeIfAbsent(name, n -> new Series());
        }
        if (waiting.size() < MOST_WAITING || waiting.containsKey(name)) {
            waiting.merge(name, 1L, Long::sum);
        }
        return others;
    }

    /** The figures by name, in order, without those of the others. */
    synchronized Map<String, Series> look() {
        Map<String, Series> found = new TreeMap<>(named);
        exchange();
        return found;
    }

    private void exchange() {
        List<Map.Entry<String, Long>> asked = new ArrayList<>(waiting.entrySet());
        asked.sort(Map.Entry.<String, Long>comparingByValue().reversed());
        Map<String, Long> lately = new HashMap<>();
        named.forEach((name, series) -> lately.put(name, series.lately()));
        List<String> rarest = new ArrayList<>(lately.keySet());
        rarest.sort(Comparator.comparing(lately::get));
        for (int n = 0; n < Math.min(asked.size(), rarest.size()); n++) {
            if (asked.get(n).getValue() <= 2 * lately.get(rarest.get(n))) {
                break;
            }
            named.remove(rarest.get(n));
            named.put(asked.get(n).getKey(), new Series());
            waiting.remove(asked.get(n).getKey());
        }
        named.values().forEach(Series::halve);
        waiting.replaceAll((name, count) -> count / 2);
        waiting.values().removeIf(count -> count == 0);
    }

    /** A name without characters that would end a line or are none. */
    static String printable(String name) {
        StringBuilder changed = null;
        for (int n = 0; n < name.length(); n++) {
            char one = name.charAt(n);
            boolean pair =
                    Character.isHighSurrogate(one)
                            && n + 1 < name.length()
                            && Character.isLowSurrogate(name.charAt(n + 1));
            if (pair) {
                if (changed != null) {
                    changed.append(one).append(name.charAt(n + 1));
                }
                n++;
            } else if (Character.isISOControl(one) || Character.isSurrogate(one)) {
                if (changed == null) {
                    changed = new StringBuilder(name.substring(0, n));
                }
                changed.append(String.format("\\u%04x", (int) one));
            } else if (changed != null) {
                changed.append(one);
            }
        }
        return changed == null ? name : changed.toString();
    }
}
