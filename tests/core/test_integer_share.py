from pocketvae.integer_share import Computation, IntegerShare


def share_of(*computations):
    return IntegerShare.of(computations)


def computation(name, in_integers, multiply_adds=None):
    return Computation(name=name, in_integers=in_integers, multiply_adds=multiply_adds)


def test_layers_count_by_their_multiply_adds_and_operators_by_their_number():
    share = share_of(computation("a/conv", True, 900), computation("relu", True), computation("a/dense", False, 100))
    assert (share.percent, share.counts, share.float_layers) == ("90%", "2/3", ("a/dense",))
    assert not share.is_whole
    assert share.describe() == "90% of 1,000 multiply-adds and 2 of 3 operators"


def test_a_file_is_whole_whose_head_alone_is_in_float():
    share = share_of(computation("conv", True, 900), computation("sigmoid", False))
    assert share.is_whole
    assert share.percent == "100%"


def test_a_hundred_percent_means_all():
    assert share_of(computation("a", True, 9999), computation("b", False, 1)).percent == "99%"


def test_a_layer_of_unknown_size_in_float_keeps_a_file_from_being_whole():
    assert not share_of(computation("a", True, 10), computation("b", False, 0)).is_whole


def test_a_file_that_multiplies_nothing_is_measured_by_its_operators():
    assert share_of(computation("a", True), computation("b", False)).percent == "50%"
    assert share_of().percent == "100%"


def test_many_layers_are_named_by_the_first_few():
    share = share_of(*(computation(f"model/layer_{index}/conv", False, 1) for index in range(8)))
    assert share.float_names().startswith("layer_0, ")
    assert share.float_names().endswith("layer_5 and 2 more")


def test_where_nothing_is_multiplied_operators_alone_count():
    share = IntegerShare(operators=49, integer_operators=48, multiply_adds=0, integer_multiply_adds=0)
    assert share.describe() == "48 of 49 operators"
    assert share.whole_percent == 97
