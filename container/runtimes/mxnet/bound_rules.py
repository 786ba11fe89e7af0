"""Bounds of values per MXNet operator: one rule for each (used by bounds.py).

An operator without a rule gives anything: layers with weights do, and what makes no numbers of
its inputs' elements. Names are those that MXNet 1.9 writes; aliases never reach a symbol file.
"""

from __future__ import annotations

import math
from typing import Callable, Mapping, Sequence, Union  # Python 3.8 has no others for aliases

from runtimes.mxnet import bounds
from runtimes.mxnet.bounds import INF, PROBABLE, UNKNOWN, Known, constant, join

Attributes = Mapping[str, str]
Found = Union[Known, "tuple[Known, ...]"]  # one for all outputs, or one for each
Rule = Callable[[Sequence[Known], Attributes], Found]
Pair = Callable[[Known, Known], Known]
FLAG = Known(0.0, 1.0)


def _number(attributes: Attributes, name: str, default: float) -> float:
    try:
        return float(attributes.get(name, default))
    except ValueError:  # "None"
        return default


def _true(attributes: Attributes, name: str) -> bool:
    return attributes.get(name, "0").lower() in ("1", "true")


def _words(text: str) -> list[str]:
    return text.split()


def _same(given: Sequence[Known], _: Attributes) -> Known:
    return given[0]


def _elements(given: Sequence[Known], _: Attributes) -> Known:
    return join(given[:1])


def _all(given: Sequence[Known], _: Attributes) -> Known:
    return join(given)


def _each(given: Sequence[Known], _: Attributes) -> tuple[Known, ...]:
    return tuple(given)


def _branches(given: Sequence[Known], _: Attributes) -> Known:
    return join(given[1:])


def _always(value: Known) -> Rule:
    return lambda *_: value


def _one(operation: Callable[[Known], Known]) -> Rule:
    return lambda given, _: operation(given[0])


def _rising(function: Callable[[float], float]) -> Rule:
    return lambda given, _: bounds.rising(function, given[0])


def _pair(operation: Pair) -> Rule:
    return lambda given, _: operation(given[0], given[1])


def _scalar(operation: Pair) -> Rule:
    return lambda given, attributes: operation(
        given[0], constant(_number(attributes, "scalar", 1.0))
    )


def _swapped(operation: Pair) -> Rule:
    return lambda given, attributes: operation(
        constant(_number(attributes, "scalar", 1.0)), given[0]
    )


def _log(base: float) -> Rule:
    return lambda given, _: bounds.logarithm(given[0], base)


def _log_softmax(*_: object) -> Known:
    return Known(high=0.0, log=math.e)


def _soft_relu(*_: object) -> Known:
    # log(1 + exp(x)) is the negated logarithm of sigmoid(-x)
    return Known(0.0, log=-math.e)


def _relu(given: Sequence[Known], _: Attributes) -> Known:
    return bounds.greatest(given[0], constant(0.0))


def _soft_sign(x: float) -> float:
    return x / (1 + abs(x)) if math.isfinite(x) else math.copysign(1.0, x)


def _activation(given: Sequence[Known], attributes: Attributes) -> Found:
    rule = _ACTIVATIONS.get(attributes.get("act_type", ""))
    return rule(given, attributes) if rule else UNKNOWN


def _dropout(given: Sequence[Known], attributes: Attributes) -> Known:
    return UNKNOWN if attributes.get("mode") == "always" else given[0]


def _clip(given: Sequence[Known], attributes: Attributes) -> Known:
    low = constant(_number(attributes, "a_min", -INF))
    high = constant(_number(attributes, "a_max", INF))
    return bounds.least(bounds.greatest(given[0], low), high)


def _add_all(given: Sequence[Known], _: Attributes) -> Known:
    found = given[0]
    for one in given[1:]:
        found = bounds.add(found, one)
    return found


def _norm(given: Sequence[Known], attributes: Attributes) -> Known:
    if _number(attributes, "ord", 2.0) != 1:
        return Known(low=0.0)
    return bounds.total(bounds.absolute(given[0]))


def _power(given: Sequence[Known], attributes: Attributes) -> Known:
    return bounds.power(given[0], _number(attributes, "scalar", 1.0))


def _pooling(given: Sequence[Known], attributes: Attributes) -> Known:
    kind = attributes.get("pool_type", "max")
    if kind not in ("max", "avg"):
        return UNKNOWN
    padded = attributes.get("pad", "").strip("()[], 0") and not _true(attributes, "global_pool")
    return join([given[0], constant(0.0)]) if padded and kind == "avg" else join(given[:1])


def _pad(given: Sequence[Known], attributes: Attributes) -> Known:
    if attributes.get("mode", "constant") != "constant":
        return join(given[:1])
    return join([given[0], constant(_number(attributes, "constant_value", 0.0))])


def _mask(given: Sequence[Known], attributes: Attributes) -> Known:
    if not _true(attributes, "use_sequence_length"):
        return given[0]
    return join([given[0], constant(_number(attributes, "value", 0.0))])


def _one_hot(_: Sequence[Known], attributes: Attributes) -> Known:
    values = (_number(attributes, "on_value", 1.0), _number(attributes, "off_value", 0.0))
    return Known(min(values), max(values))


def _top(given: Sequence[Known], attributes: Attributes) -> Found:
    kind = attributes.get("ret_typ", "indices")
    values, places = join(given[:1]), Known(low=0.0)
    if kind == "both":
        return values, places
    return values if kind == "value" else FLAG if kind == "mask" else places


def _up_sampling(given: Sequence[Known], attributes: Attributes) -> Known:
    return join(given) if attributes.get("sample_type") == "nearest" else UNKNOWN


def _average(given: Sequence[Known], _: Attributes) -> Known:
    return join(given) if len(given) == 1 else UNKNOWN


_SIGMOID = _always(PROBABLE)
_TANH = _rising(math.tanh)
_SOFT_SIGN = _rising(_soft_sign)
_WAVE = _always(Known(-1.0, 1.0))
_ACTIVATIONS: dict[str, Rule] = {
    "sigmoid": _SIGMOID,
    "relu": _relu,
    "tanh": _TANH,
    **dict.fromkeys(("prod", "_np_prod", "nanprod"), _one(bounds.product)),
    "log_softmax": _log_softmax,
    "softsign": _SOFT_SIGN,
    "softrelu": _soft_relu,
}

# what gives the first input's elements, in their order
SAME = frozenset(
    _words(
        """
    _copy _copyto _np_copy _CrossDeviceCopy _identity_with_attr_like_rhs BlockGrad MakeLoss
    make_loss Cast amp_cast cast_storage Flatten Reshape reshape_like expand_dims squeeze
    _np_reshape _npx_reshape _np_squeeze Dropout broadcast_axis broadcast_like broadcast_to
    _npi_broadcast_to _contrib_gradientmultiplier IdentityAttachKLSparseReg
    LinearRegressionOutput MAERegressionOutput SVMOutput
    """
    )
)
# what gives some of them, in any order, or means of them
_ELEMENTS = _words(
    """
    transpose _np_transpose SwapAxis _npi_swapaxes _np_moveaxis _np_roll _npi_rot90 slice
    slice_axis slice_like SliceChannel _split_v2 _npi_split _npi_hsplit _npi_dsplit Crop reverse
    _npi_flip tile repeat _npi_tile _np_repeat take batch_take pick gather_nd diag _np_diagonal
    SequenceLast SequenceReverse sort _npi_sort max min _np_max _np_min mean _npi_mean
    _contrib_AdaptiveAvgPooling2D _contrib_BilinearResize2D _contrib_boolean_mask
    _npi_boolean_mask _shuffle _npi_shuffle depth_to_space space_to_depth _np_atleast_1d
    _np_atleast_2d _np_atleast_3d
    """
)
_JOINS = _words(
    """
    Concat stack _npi_concatenate _npi_stack _npi_vstack _npi_hstack _npi_dstack
    _npi_column_stack
    """
)
_PROBABILITIES = _words(
    """
    sigmoid _npx_sigmoid _npi_logistic hard_sigmoid softmax softmin SoftmaxOutput
    SoftmaxActivation LogisticRegressionOutput
    """
)
_FLAGS = _words(
    """
    _equal _not_equal _greater _greater_equal _lesser _lesser_equal _logical_and _logical_or
    _logical_xor broadcast_equal broadcast_not_equal broadcast_greater broadcast_greater_equal
    broadcast_lesser broadcast_lesser_equal broadcast_logical_and broadcast_logical_or
    broadcast_logical_xor _equal_scalar _not_equal_scalar _greater_scalar _greater_equal_scalar
    _lesser_scalar _lesser_equal_scalar _logical_and_scalar _logical_or_scalar
    _logical_xor_scalar _npi_equal _npi_not_equal _npi_greater _npi_greater_equal _npi_less
    _npi_less_equal _npi_equal_scalar _npi_not_equal_scalar _npi_greater_scalar
    _npi_greater_equal_scalar _npi_less_scalar _npi_less_equal_scalar logical_not
    _npi_logical_not
    """
)
_PAIRS: dict[Pair, str] = {
    bounds.add: "elemwise_add broadcast_add _grad_add _npi_add",
    bounds.subtract: "elemwise_sub broadcast_sub _npi_subtract",
    bounds.multiply: "elemwise_mul broadcast_mul _npi_multiply",
    bounds.divide: "elemwise_div broadcast_div _npi_true_divide",
    bounds.greatest: "_maximum broadcast_maximum _npi_maximum",
    bounds.least: "_minimum broadcast_minimum _npi_minimum",
}
_SCALARS: dict[Pair, str] = {
    bounds.add: "_plus_scalar _scatter_plus_scalar _npi_add_scalar",
    bounds.subtract: "_minus_scalar _scatter_minus_scalar _npi_subtract_scalar",
    bounds.multiply: "_mul_scalar _npi_multiply_scalar",
    bounds.divide: "_div_scalar _npi_true_divide_scalar",
    bounds.greatest: "_maximum_scalar _npi_maximum_scalar",
    bounds.least: "_minimum_scalar _npi_minimum_scalar",
}
_SWAPPED: dict[Pair, str] = {
    bounds.subtract: "_rminus_scalar _npi_rsubtract_scalar",
    bounds.divide: "_rdiv_scalar _npi_rtrue_divide_scalar",
}

RULES: dict[str, Rule] = {
    **dict.fromkeys(SAME, _same),
    **dict.fromkeys(_ELEMENTS, _elements),
    **dict.fromkeys(_JOINS, _all),
    **dict.fromkeys(_PROBABILITIES, _SIGMOID),
    **dict.fromkeys(_FLAGS, _always(FLAG)),
    **{name: _pair(way) for way, names in _PAIRS.items() for name in _words(names)},
    **{name: _scalar(way) for way, names in _SCALARS.items() for name in _words(names)},
    **{name: _swapped(way) for way, names in _SWAPPED.items() for name in _words(names)},
    **dict.fromkeys(("where", "_npi_where"), _branches),
    **dict.fromkeys(("log", "_npi_log"), _log(math.e)),
    **dict.fromkeys(("log2", "_npi_log2"), _log(2.0)),
    **dict.fromkeys(("log10", "_npi_log10"), _log(10.0)),
    **dict.fromkeys(("exp", "_npi_exp"), _one(bounds.exponential)),
    **dict.fromkeys(("negative", "_npi_negative"), _one(bounds.negative)),
    **dict.fromkeys(("abs", "_npi_absolute"), _one(bounds.absolute)),
    **dict.fromkeys(("square", "_npi_square"), _one(lambda one: bounds.power(one, 2))),
    **dict.fromkeys(("sqrt", "_npi_sqrt"), _one(lambda one: bounds.power(one, 0.5))),
    **dict.fromkeys(("reciprocal", "_npi_reciprocal"),
                    _one(lambda one: bounds.divide(constant(1.0), one))),
    **dict.fromkeys(("relu", "_npx_relu"), _relu),
    **dict.fromkeys(("tanh", "_npi_tanh"), _TANH),
    **dict.fromkeys(("erf", "_npx_erf"), _rising(math.erf)),
    **dict.fromkeys(("sin", "cos", "_npi_sin", "_npi_cos"), _WAVE),
    **dict.fromkeys(("floor", "_npi_floor"), _rising(math.floor)),
    **dict.fromkeys(("ceil", "_npi_ceil"), _rising(math.ceil)),
    **dict.fromkeys(("round", "rint", "fix", "trunc", "_npi_rint", "_npi_around", "_npi_fix",
                     "_npi_trunc"), _rising(round)),
    **dict.fromkeys(("sum", "_np_sum", "nansum"), _one(bounds.total)),
    **dict.fromkeys(("norm", "_npi_norm"), _norm),
    **dict.fromkeys(("_power_scalar", "_npi_power_scalar"), _power),
    **dict.fromkeys(("clip", "_npi_clip"), _clip),
    **dict.fromkeys(("prod", "_np_prod", "nanprod"), _one(bounds.product)),
    "log_softmax": _log_softmax,
    "softsign": _SOFT_SIGN,
    "Activation": _activation,
    "add_n": _add_all,
    "amp_multicast": _each,
    "one_hot": _one_hot,
    "ones_like": _always(constant(1.0)),
    "zeros_like": _always(constant(0.0)),
    "_ones": _always(constant(1.0)),
    "_zeros": _always(constant(0.0)),
    "Pooling": _pooling,
    "Pad": _pad,
    "SequenceMask": _mask,
    "topk": _top,
    "UpSampling": _up_sampling,
    "_npi_average": _average,
}  # fmt: skip
