"""What a SavedModel would run, read off its file before TensorFlow loads it.

A SavedModel is a program: its operations can read and write files, and an initialiser runs as
soon as it is loaded. Those that `export` writes hold variables and arithmetic alone.
"""

import graphlib
import math
import pathlib

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from mixmo_tf.formats import signature

# of all that `export` has ever written, and arithmetic that a network of one's own may need
OPERATIONS = frozenset(
    """
    Abs Acos Acosh Add AddN AddV2 All Any ArgMax ArgMin Asin Asinh Assert Atan Atan2 Atanh AvgPool
    AvgPool3D BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchToSpaceND BiasAdd BroadcastArgs
    BroadcastTo Cast Ceil CheckNumerics ClipByValue ConcatV2 Const Conv2D Conv2DBackpropInput Conv3D
    Cos Cosh Cumprod Cumsum DepthToSpace DepthwiseConv2dNative Diag DiagPart Div DivNoNan Einsum Elu
    EnsureShape Equal Erf Erfc Exp ExpandDims Expm1 ExtractImagePatches Fill Floor FloorDiv FloorMod
    FusedBatchNorm FusedBatchNormV3 GatherNd GatherV2 Greater GreaterEqual Identity IdentityN If
    InvertPermutation IsFinite IsInf IsNan L2Loss LRN LeakyRelu Less LessEqual LinSpace Log Log1p
    LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul MatrixBandPart Max MaxPool MaxPool3D MaxPoolV2
    Maximum Mean Min Minimum MirrorPad Mul MulNoNan Neg NoOp NotEqual OneHot OnesLike Pack Pad PadV2
    PartitionedCall Placeholder Pow PreventGradient Prod Range Rank ReadVariableOp RealDiv
    Reciprocal Relu Relu6 Reshape ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor
    ReverseV2 Rint Roll Round Rsqrt ScatterNd Select SelectV2 Selu Shape ShapeN Sigmoid Sign Sin
    Sinh Size Slice Softmax Softplus Softsign SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square
    SquaredDifference Squeeze StatefulPartitionedCall StatelessIf StopGradient StridedSlice Sub Sum
    Tan Tanh TensorScatterUpdate Tile TopKV2 Transpose TruncateDiv TruncateMod Unpack VarHandleOp
    Where Xdivy Xlogy ZerosLike
    """.split()
)
# of the signature that decodes files' bytes, which nothing here calls: its loops may be without end
OF_BYTES = frozenset(
    """
    DecodeJpeg DecodePng DecodeRaw ExtractJpegShape ScaleAndTranslate StatelessCase StatelessWhile
    StaticRegexReplace StringLength Substr TensorListFromTensor TensorListGetItem TensorListReserve
    TensorListSetItem TensorListStack
    """.split()
)
# every SavedModel can save itself, which nothing does here
_OF_SAVING = frozenset(
    """
    AssignVariableOp DisableCopyOnRead MergeV2Checkpoints RestoreV2 SaveV2 ShardedFilename
    StaticRegexFullMatch StringJoin
    """.split()
)
# of the objects that it restores
_KINDS = "user_object", "variable", "bare_concrete_function", "constant", "captured_tensor"
_CONTAINERS = "_generic_user_object", "trackable_list_wrapper", "signature_map"
_MOST_BYTES = 2**28  # of saved_model.pb; ours have 1 MB
_MOST_OBJECTS = 20_000  # ours have 300
_MOST_OPERATIONS = 500_000  # ours have 3,300
_SLACK = 2**26  # bytes that constants may take beyond what is stored of them


def check(folder: pathlib.Path) -> None:
    """Raises ValueError if a SavedModel does anything but compute with its variables.

    Nothing of it is executed.

    Raises:
        ValueError: if it holds an operation that is not on the list, an asset, a resource or an
            initialiser, or claims sizes that its files do not have; the message names it.
    """
    file = folder / "saved_model.pb"
    if file.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{file} is refused: no graph has {file.stat().st_size:,} bytes")
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
        fault = _fault(saved_model) or _size_fault(saved_model, folder)
    except Exception as error:  # whatever a damaged file makes protobuf and TensorFlow raise
        raise ValueError(
            f"{folder} is not a readable SavedModel: {file.name} cannot be parsed"
        ) from error
    if fault:
        raise ValueError(
            f"{folder} is refused: {fault}, which MixMo.export does not write; nothing of it was "
            "executed. If you trust who made it, say so with --trust or load(…, trust=True)"
        )


def _fault(saved_model):
    """What a SavedModel must not hold, in words; None if nothing."""
    if len(saved_model.meta_graphs) != 1 or not saved_model.meta_graphs[0].object_graph_def.nodes:
        return "it is of TensorFlow 1, or holds several graphs"
    (graph,) = saved_model.meta_graphs
    if graph.asset_file_def:
        return f"it has the asset {graph.asset_file_def[0].filename!r}"
    library = graph.graph_def.library
    functions = {function.signature.name: function for function in library.function}
    num_nodes = sum(len(function.node_def) for function in library.function)
    if len(graph.object_graph_def.nodes) > _MOST_OBJECTS:
        return f"it has {len(graph.object_graph_def.nodes):,} objects"
    if num_nodes + len(graph.graph_def.node) > _MOST_OPERATIONS:
        return f"it has {num_nodes + len(graph.graph_def.node):,} operations"
    calls = {name: _called(f.node_def, functions) for name, f in functions.items()}
    return (
        _object_fault(graph.object_graph_def.nodes)
        or _operation_fault(graph, functions, calls)
        or _depth_fault(functions, calls)
    )


def _object_fault(nodes):
    for node in nodes:
        kind = node.WhichOneof("kind")
        if kind == "resource" or any(
            child.local_name in ("_initialize", "_create_resource", "_destroy_resource")
            for child in node.children
        ):
            return "it has a resource, whose initialiser runs when it is loaded"
        if kind not in _KINDS:
            return f"it has an object of the kind {kind}"
        if kind == "user_object" and node.user_object.identifier not in _CONTAINERS:
            return f"it has an object of the kind {node.user_object.identifier!r}"
        if node.registered_name or node.registered_saver or node.saveable_objects:
            return "it has an object that restores itself"
    return None


def _operation_fault(graph, functions, calls):
    """The first operation that is not on the list; those of saving may only save."""
    objects = graph.object_graph_def
    called = {
        i: node.bare_concrete_function.concrete_function_name
        for i, node in enumerate(objects.nodes)
    }
    of_bytes = called.pop(_node_of_bytes(objects.nodes), None)
    reached = list(called.values())
    reached += objects.concrete_functions.keys() - {of_bytes}
    reached += [each.gradient_func for each in graph.graph_def.library.gradient]
    reached += [each.gradient_func for each in graph.graph_def.library.registered_gradients]
    # TensorFlow may put one function in another's place where both have this attribute
    reached += [name for name, function in functions.items() if "api_implements" in function.attr]
    run = _reached(reached, calls)
    decodes = _reached([of_bytes], calls)
    every = [("", graph.graph_def.node), *((name, f.node_def) for name, f in functions.items())]
    for name, nodes in every:
        others = frozenset() if name in run else OF_BYTES if name in decodes else _OF_SAVING
        allowed = OPERATIONS | others
        for node in nodes:
            if node.op not in allowed and node.op not in functions:
                return f"it has the operation {node.op}"
    return None


def _node_of_bytes(nodes):
    """The index of the object that is the signature `signature.OF_BYTES` and nothing else."""
    names = [(child.node_id, child.local_name) for node in nodes for child in node.children]
    found = [i for i, name in names if name == signature.OF_BYTES]
    if len(found) == 1 and sum(i == found[0] for i, _ in names) == 1:
        return found[0]
    return None


def _reached(names, calls):
    """The functions of these names, and all that they call; `calls` has those that each calls."""
    found, names = set(), list(names)
    while names:
        name = names.pop()
        if name in calls and name not in found:
            found.add(name)
            names += calls[name]
    return found


def _called(nodes, functions):
    """The names of the functions that operations call."""
    names = set()
    for node in nodes:
        names.add(node.op)
        for value in node.attr.values():
            names.add(value.func.name)
            names.update(each.name for each in value.list.func)
    return names & functions.keys()


def _depth_fault(functions, calls):
    """Functions that call themselves, or each other until no computer could run them."""
    total = {}
    try:
        for name in graphlib.TopologicalSorter(calls).static_order():
            times = [len(functions[name].node_def)]
            for node in functions[name].node_def:
                times += [total[each] for each in _called([node], functions)]
            total[name] = sum(times)
            if total[name] > _MOST_OPERATIONS:
                return f"it runs more than {_MOST_OPERATIONS:,} operations"
    except graphlib.CycleError:
        return "it has a function that calls itself"
    return None


def _size_fault(saved_model, folder):
    """Constants or variables that would take more memory than the files hold."""
    (graph,) = saved_model.meta_graphs
    library = graph.graph_def.library
    constants = [
        node.attr["value"].tensor
        for nodes in (graph.graph_def.node, *(f.node_def for f in library.function))
        for node in nodes
        if node.op == "Const"
    ]
    size = sum(map(_bytes, [t.tensor_shape for t in constants], [t.dtype for t in constants]))
    if size > _SLACK + (folder / "saved_model.pb").stat().st_size:
        return f"its constants take {size:,} bytes"
    objects = graph.object_graph_def.nodes
    variables = [node.variable for node in objects if node.WhichOneof("kind") == "variable"]
    size = sum(_bytes(variable.shape, variable.dtype) for variable in variables)
    stored = sum(each.stat().st_size for each in (folder / "variables").glob("variables.data-*"))
    if size > stored:
        return f"its variables take {size:,} bytes, of which {stored:,} are there"
    return None


def _bytes(shape, dtype):
    """What a tensor takes in memory; text, which has no size of its own, counts as stored."""
    if shape.unknown_rank or any(dimension.size < 0 for dimension in shape.dim):
        return math.inf
    return math.prod(dimension.size for dimension in shape.dim) * tf.dtypes.as_dtype(dtype).size
