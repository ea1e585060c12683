package org.pvstream.live;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.time.Instant;
import java.util.Set;

/** One event of the small job, read and checked as benchmarks/live/small_job.py does it. */
public class Event {
    private static final JsonFactory JSON = new JsonFactory();
    private static final Set<String> ANALYTES = Set.of("eosinophils", "leukocytes", "alt", "creatinine");
    private static final Set<String> UNITS = Set.of("/uL", "U/L", "umol/L");
    private static final int NAME_LENGTH_MAX = 80;
    private static final long VALUE_MAX = 1_000_000;
    private static final long DOSE_MG_MAX = 100_000;

    // Public and not final: Flink moves it between its operators field by field.
    public String patientId;
    public long eventId = -1;
    public Instant receivedAt;
    public boolean isDrug;
    public String analyte;
    public long value = -1;
    public String unit;
    public String ingredient;
    public long doseMg;

    /** Returns the event, or throws IOException when it is not one. */
    static Event parse(byte[] bytes) throws IOException {
        Event event = new Event();
        String type = null;
        try (JsonParser parser = JSON.createParser(bytes)) {
            require(parser.nextToken() == JsonToken.START_OBJECT, "an object");
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                switch (name) {
                    case "type" -> type = parser.getText();
                    case "patient_id" -> event.patientId = parser.getText();
                    case "event_id" -> event.eventId = parser.getLongValue();
                    case "received_at" -> event.receivedAt = Instant.parse(parser.getText());
                    case "analyte" -> event.analyte = parser.getText();
                    case "value" -> event.value = parser.getLongValue();
                    case "unit" -> event.unit = parser.getText();
                    case "ingredient" -> event.ingredient = parser.getText();
                    case "dose_mg" -> event.doseMg = parser.getLongValue();
                    default -> parser.skipChildren();
                }
            }
        }
        event.check(type);
        return event;
    }

    private void check(String type) throws IOException {
        require(isName(patientId), "patient_id");
        require(eventId >= 0, "event_id");
        require(receivedAt != null, "received_at");
        if ("drug".equals(type)) {
            isDrug = true;
            require(isName(ingredient), "ingredient");
            require(doseMg > 0 && doseMg <= DOSE_MG_MAX, "dose_mg");
        } else {
            require("lab".equals(type), "type");
            require(analyte != null && ANALYTES.contains(analyte), "analyte");
            require(value >= 0 && value <= VALUE_MAX, "value");
            require(unit != null && UNITS.contains(unit), "unit");
        }
    }

    private static boolean isName(String text) {
        return text != null && !text.isEmpty() && text.length() <= NAME_LENGTH_MAX;
    }

    private static void require(boolean holds, String what) throws IOException {
        if (!holds) {
            throw new IOException("not as it must be: " + what);
        }
    }
}
