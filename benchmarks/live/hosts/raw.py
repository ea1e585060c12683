"""A raw confluent-kafka loop: as fast as Python reads Kafka, with states in a dict that dies with it.

No transaction, no state that lasts, no output that is waited for: what everything else is compared with. With
`--pydantic` it decodes as our package does, without it with msgspec, as all other Python hosts here.
"""

from typing import Annotated, Any, ClassVar, Final, Literal

from confluent_kafka import Consumer, Producer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from benchmarks.live.hosts.arguments import Arguments, parse
from benchmarks.live.jobs import small_step
from pv_stream.cli.garbage import collect_seldom

MESSAGES_MAX = 10_000
WAIT_SECONDS = 0.05

_Name = Annotated[str, Field(min_length=1, max_length=80)]
_Count = Annotated[int, Field(ge=0)]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True)

    patient_id: _Name
    event_id: _Count
    received_at: AwareDatetime


class _Lab(_Event):
    is_drug: ClassVar[bool] = False

    type: Literal["lab"]
    analyte: Literal["eosinophils", "leukocytes", "alt", "creatinine"]
    value: Annotated[int, Field(ge=0, le=1_000_000)]
    unit: Literal["/uL", "U/L", "umol/L"]


class _Drug(_Event):
    is_drug: ClassVar[bool] = True

    type: Literal["drug"]
    ingredient: _Name
    dose_mg: Annotated[int, Field(gt=0, le=100_000)]


PYDANTIC: Final[TypeAdapter[_Lab | _Drug]] = TypeAdapter(Annotated[_Lab | _Drug, Field(discriminator="type")])


def main(arguments: Arguments) -> None:
    """Consume, compute and produce until killed."""
    collect_seldom()
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.bootstrap_servers,
            "group.id": arguments.group,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
        }
    )
    consumer.subscribe([arguments.source])
    producer = Producer({"bootstrap.servers": arguments.bootstrap_servers, "linger.ms": 5})
    step = small_step(PYDANTIC.validate_json) if arguments.pydantic else arguments.job.make_step()
    target = arguments.target
    states: dict[bytes, Any] = {}
    while True:
        # Asked for many at once it would wait for them, and be late where few come.
        messages = consumer.consume(1, WAIT_SECONDS)
        messages += consumer.consume(MESSAGES_MAX, 0) if messages else []
        for message in messages:
            key, value = message.key(), message.value()
            if key is None or value is None:
                continue
            states[key], told = step(states.get(key), value)
            for out_key, out_value in told:
                producer.produce(target, out_value, out_key)
        producer.poll(0)


if __name__ == "__main__":
    main(parse())
