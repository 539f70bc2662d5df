"""TensorBoard's event files, read as they stand."""

from collections import Counter
from pathlib import Path

from tensorboardX.proto import event_pb2

from jnas.io._tfrecord import read_records


def scalars(folder: Path) -> dict[str, Counter[tuple[int, str, float]]]:
    """How often each step, name and value stands in the event files of each run; checksums have been verified."""
    found = {}
    for path in folder.glob("*/*tfevents*"):
        events = [event_pb2.Event.FromString(record) for batch in read_records(path) for record in batch.records]
        assert events[0].file_version == "brain.Event:2"
        found[path.parent.name] = Counter(
            (event.step, value.tag, value.simple_value)
            for event in events
            for value in event.summary.value
            if value.HasField("simple_value")
        )
    return found
