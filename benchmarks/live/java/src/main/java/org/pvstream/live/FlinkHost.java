package org.pvstream.live;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** Flink, states on the heap, checkpoints into a directory, an exactly-once sink, one slot. */
public final class FlinkHost {

    private FlinkHost() {}

    public static void main(String[] given) throws Exception {
        Arguments arguments = Arguments.parse(given);
        Configuration configuration = new Configuration();
        configuration.set(StateBackendOptions.STATE_BACKEND, "hashmap");
        configuration.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        configuration.set(
                CheckpointingOptions.CHECKPOINTS_DIRECTORY,
                Path.of(arguments.get("state-dir")).toUri().toString());
        var environment = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        environment.setParallelism(1);
        environment.getConfig().enableObjectReuse();
        environment.enableCheckpointing(arguments.commitMillis());
        environment.setBufferTimeout(5);
        environment
                .fromSource(source(arguments), WatermarkStrategy.noWatermarks(), "events")
                .keyBy(event -> event.patientId)
                .process(new SmallJob())
                .sinkTo(sink(arguments));
        environment.execute(arguments.get("group"));
    }

    private static KafkaSource<Event> source(Arguments arguments) {
        return KafkaSource.<Event>builder()
                .setBootstrapServers(arguments.get("bootstrap-servers"))
                .setTopics(arguments.get("source"))
                .setGroupId(arguments.get("group"))
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setProperty("isolation.level", "read_committed")
                .setDeserializer(new Reader())
                .build();
    }

    private static KafkaSink<byte[]> sink(Arguments arguments) {
        return KafkaSink.<byte[]>builder()
                .setBootstrapServers(arguments.get("bootstrap-servers"))
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(arguments.get("group"))
                .setProperty("transaction.timeout.ms", String.valueOf(Duration.ofMinutes(5).toMillis()))
                .setRecordSerializer(
                        KafkaRecordSerializationSchema.<byte[]>builder()
                                .setTopic(arguments.get("target"))
                                .setValueSerializationSchema(new AsItIs())
                                .build())
                .build();
    }

    private static final class Reader implements KafkaRecordDeserializationSchema<Event> {
        private static final long serialVersionUID = 1L;

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Event> out) {
            try {
                out.collect(Event.parse(record.value()));
            } catch (IOException error) {
                return;
            }
        }

        @Override
        public TypeInformation<Event> getProducedType() {
            return TypeInformation.of(Event.class);
        }
    }

    private static final class AsItIs implements SerializationSchema<byte[]> {
        private static final long serialVersionUID = 1L;

        @Override
        public byte[] serialize(byte[] value) {
            return value;
        }
    }

    private static final class SmallJob extends KeyedProcessFunction<String, Event, byte[]> {
        private static final long serialVersionUID = 1L;
        private transient ValueState<State> states;

        @Override
        public void open(OpenContext context) {
            states = getRuntimeContext().getState(new ValueStateDescriptor<>("states", State.class));
        }

        @Override
        public void processElement(Event event, Context context, Collector<byte[]> out) throws IOException {
            State state = states.value();
            if (state == null) {
                state = new State();
            }
            State.Alert alert = state.step(event);
            states.update(state);
            if (alert != null) {
                out.collect(alert.toBytes());
            }
        }
    }
}
