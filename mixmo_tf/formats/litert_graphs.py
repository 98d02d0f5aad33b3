"""What is done to a LiteRT file once it is converted: another graph behind its own, and metadata.

A converter makes integers of all that it can. What is to stay in floats, though the network
computes with integers, is converted by itself and joined on here.
"""

from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

METADATA = "mixmo_tf"  # the name under which a file holds what it is


def joined(content: bytes, behind: bytes, by: str) -> bytes:
    """A file that computes what two do, the second from an output of the first.

    Args:
        content: a LiteRT file of one graph and one signature.
        behind: another one; its only input takes the output of the first that is called `by`.
        by: that name.

    Returns:
        bytes of a file that has the outputs of both.
    """
    model, other = map(flatbuffer_utils.convert_bytearray_to_object, (content, behind))
    (graph,), (added) = model.subgraphs, other.subgraphs[0]
    (signature,), (of_added,) = model.signatureDefs, other.signatureDefs
    (taken,) = (each.tensorIndex for each in signature.outputs if _text(each.name) == by)
    (given,) = (each.tensorIndex for each in of_added.inputs)
    places = {-1: -1, given: taken}  # an operation's input that is left out is -1
    for i, tensor in enumerate(added.tensors):
        if i != given:
            places[i] = len(graph.tensors)
            tensor.buffer += len(model.buffers)
            graph.tensors.append(tensor)
    for operator in added.operators:
        operator.opcodeIndex += len(model.operatorCodes)
        operator.inputs, operator.outputs = (
            [places[i] for i in tensors] for tensors in (operator.inputs, operator.outputs)
        )
        graph.operators.append(operator)
    for output in of_added.outputs:
        output.tensorIndex = places[output.tensorIndex]
        signature.outputs.append(output)
    graph.outputs = [*graph.outputs, *(places[i] for i in added.outputs)]
    model.operatorCodes += other.operatorCodes
    model.buffers += other.buffers
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def with_metadata(content: bytes, text: str) -> bytes:
    """The same file with a text in its metadata, by the name `METADATA`."""
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(text.encode())
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def metadata(content: bytes) -> str | None:
    """What `with_metadata` put into a file; None where there is nothing.

    Raises:
        ValueError: if it is no text.
    """
    model = schema.Model.GetRootAs(content)
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == METADATA.encode():
            return model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().decode()
    return None


def _text(name):
    return name.decode() if isinstance(name, bytes) else name
