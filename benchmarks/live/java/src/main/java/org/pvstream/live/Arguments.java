package org.pvstream.live;

import java.util.HashMap;
import java.util.Map;

/** What every host is told on its command line, as {@code --name value}. */
record Arguments(Map<String, String> given) {

    static Arguments parse(String[] arguments) {
        Map<String, String> given = new HashMap<>();
        for (int place = 0; place + 1 < arguments.length; place += 2) {
            given.put(arguments[place].substring(2), arguments[place + 1]);
        }
        if (!"small".equals(given.get("job"))) {
            throw new IllegalArgumentException("the Java hosts do the small job only");
        }
        return new Arguments(given);
    }

    String get(String name) {
        String value = given.get(name);
        if (value == null) {
            throw new IllegalArgumentException("--" + name + " is missing");
        }
        return value;
    }

    long commitMillis() {
        return Math.round(Double.parseDouble(get("commit-seconds")) * 1000);
    }
}
