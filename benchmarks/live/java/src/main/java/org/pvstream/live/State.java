package org.pvstream.live;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;

/** What is kept of a patient, and the one rule of the small job. */
public class State {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long THRESHOLD_PER_UL = 1_500;
    private static final String WATCHED = "imatinib";

    public long events;
    public boolean watched;

    @JsonProperty("highest_per_ul")
    public long highestPerUl;

    public long alerts;

    /** What is told. */
    record Alert(
            @JsonProperty("patient_id") String patientId,
            @JsonProperty("event_id") long eventId,
            @JsonProperty("eosinophils_per_ul") long eosinophilsPerUl,
            long alerts) {

        byte[] toBytes() {
            return bytes(this);
        }
    }

    /** Takes an event and returns the alert that follows from it, or null. */
    Alert step(Event event) {
        events++;
        if (event.isDrug) {
            watched |= WATCHED.equals(event.ingredient);
        } else if ("eosinophils".equals(event.analyte)) {
            highestPerUl = Math.max(highestPerUl, event.value);
            if (watched && event.value >= THRESHOLD_PER_UL) {
                alerts++;
                return new Alert(event.patientId, event.eventId, event.value, alerts);
            }
        }
        return null;
    }

    static State fromBytes(byte[] value) {
        try {
            return JSON.readValue(value, State.class);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    byte[] toBytes() {
        return bytes(this);
    }

    private static byte[] bytes(Object value) {
        try {
            return JSON.writeValueAsBytes(value);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
