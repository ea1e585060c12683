package org.pvstream.live;

import java.io.IOException;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** Kafka Streams, exactly_once_v2, one thread, states in its store with a cache and a changelog topic. */
public final class StreamsHost {
    private static final String STORE = "states";

    private StreamsHost() {}

    public static void main(String[] given) {
        Arguments arguments = Arguments.parse(given);
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments.get("group"));
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments.get("bootstrap-servers"));
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments.commitMillis());
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        properties.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, arguments.get("state-dir"));
        properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        KafkaStreams streams = new KafkaStreams(topology(arguments), properties);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    private static Topology topology(Arguments arguments) {
        Serde<byte[]> bytes = Serdes.ByteArray();
        Serde<State> states =
                Serdes.serdeFrom((topic, state) -> state == null ? null : state.toBytes(),
                        (topic, value) -> value == null ? null : State.fromBytes(value));
        var store = Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), Serdes.String(), states)
                .withCachingEnabled();
        Topology topology = new Topology();
        topology.addSource("events", Serdes.String().deserializer(), bytes.deserializer(), arguments.get("source"));
        topology.addProcessor("job", SmallJob::new, "events");
        topology.addStateStore(store, "job");
        topology.addSink("told", arguments.get("target"), Serdes.String().serializer(), bytes.serializer(), "job");
        return topology;
    }

    private static final class SmallJob implements Processor<String, byte[], String, byte[]> {
        private ProcessorContext<String, byte[]> context;
        private KeyValueStore<String, State> states;

        @Override
        public void init(ProcessorContext<String, byte[]> given) {
            context = given;
            states = given.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, byte[]> record) {
            Event event;
            try {
                event = Event.parse(record.value());
            } catch (IOException error) {
                return;
            }
            State state = states.get(record.key());
            if (state == null) {
                state = new State();
            }
            State.Alert alert = state.step(event);
            states.put(record.key(), state);
            if (alert != null) {
                context.forward(record.withValue(alert.toBytes()));
            }
        }
    }
}
