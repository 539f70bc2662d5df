"""The reader of pickles: it reads data as `pickle` does, and whatever else comes ends in one ValueError."""

import builtins
import collections
import copyreg
import io
import math
import os
import pickle
import subprocess
import zipfile

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from jnas.io._pickle_values import Numbers
from jnas.io._restricted_pickle import load
from jnas.io._stream import Stream


def read(data, **arguments):
    return load(Stream(io.BytesIO(data).read, "the file"), **arguments)


def read_or_refuse(data):
    """Reads bytes that may be anything; only the one kind of error may come of it."""
    try:
        read(data, max_containers=10_000)
    except ValueError as error:
        message = str(error)
    else:
        message = "the file was read"
    assert message.startswith("the file ")


# What data is: the keys that may be hashed, and the ways in which it nests.
_floats = st.floats(allow_nan=False)
_atoms = (
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | _floats | st.text(max_size=300) | st.binary(max_size=300)
)
_keys = _atoms | st.tuples(_atoms, _atoms)
_data = st.recursive(
    _atoms,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(_keys, inner, max_size=5)
        | st.dictionaries(_keys, inner, max_size=5).map(collections.OrderedDict)
        | st.sets(_keys, max_size=5)
    ),
    max_leaves=20,
)


class TestData:
    @hypothesis.given(_data, st.sampled_from([2, 3, 4, 5]))
    @hypothesis.settings(max_examples=300, deadline=None)
    def test_is_read_as_pickle_reads_it(self, value, protocol):
        found = read(pickle.dumps(value, protocol))
        assert found == value
        assert type(found) is (dict if isinstance(value, dict) else type(value))

    def test_of_python_2_has_its_text_as_bytes(self):
        long = b"\xff" * 300
        data = b"\x80\x02}q\x01U\x03keyq\x02T" + len(long).to_bytes(4, "little") + long + b"q\x03s."
        assert read(data) == {b"key": long} == pickle.loads(data, encoding="bytes")

    def test_of_more_than_a_window_is_read(self):
        value = [{"numbers": {i: i / 7 for i in range(300)}, "text": "x" * 70_000, "name": f"a{j}"} for j in range(60)]
        for protocol in (2, 4):
            data = pickle.dumps(value, protocol)
            assert len(data) > 4 << 20
            assert read(data) == value

    def test_that_comes_in_small_pieces_is_the_same(self):
        value = {"key": [1.5, "text", (1, 2), {"a": b"bytes"}]}
        data = io.BytesIO(pickle.dumps(value, 4))
        assert load(Stream(lambda _: data.read(1), "the file")) == value

    def test_shared_and_recursive_objects_keep_their_identity(self):
        shared = [1.0]
        value = [shared, shared]
        value.append(value)
        found = read(pickle.dumps(value, 2))
        assert found[0] is found[1]
        assert found[2] is found

    def test_python_2_counts_its_memo_from_one(self):
        found = read(b"\x80\x02}q\x01U".replace(b"U", b"X\x01\x00\x00\x00aq\x02h\x02s."))
        assert found == {"a": "a"}

    def test_pickles_in_a_row_are_read_one_by_one(self):
        stream = Stream(io.BytesIO(pickle.dumps(1.0, 2) + pickle.dumps(["two"], 4) + b"rest").read, "the file")
        assert load(stream) == 1.0
        assert load(stream) == ["two"]
        assert stream.take(4) == b"rest"

    @pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
    @pytest.mark.parametrize("code", ["f2", "f4", "f8", "i1", "i8", "u2", "b1", ">f8"])
    def test_numpy_numbers_become_plain_ones(self, code, core):
        value = np.dtype(code).type(1) if code[0] != ">" else np.array([1.0], code)[0]
        for protocol in (2, 4):
            data = pickle.dumps([value, np.array([[1, 0], [0, 1]], code)], protocol)
            if protocol == 2:  # text, whose length is not counted, so that the older and newer name fit one another
                data = data.replace(b"numpy._core", core)
            found, matrix = read(data)
            assert found == 1
            assert type(found) in (int, float, bool)
            assert isinstance(matrix, Numbers)
            assert matrix.value.tolist() == [[1, 0], [0, 1]]

    def test_numpy_arrays_keep_their_order(self):
        value = np.asfortranarray(np.arange(6).reshape(2, 3))
        np.testing.assert_array_equal(read(pickle.dumps(value, 4)).value, value)

    def test_attributes_of_ordered_dictionaries_are_left_out(self):
        value = collections.OrderedDict(a=1)
        value.extra = {"version": 1}
        assert read(pickle.dumps(value, 2)) == {"a": 1}


class _Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def _raw(name, *, call=b"X\x01\x00\x00\x00x\x85R"):
    module, attribute = name.rsplit(".", 1)
    return b"\x80\x02c" + module.encode() + b"\n" + attribute.encode() + b"\n" + call + b"."


class TestHostileFiles:
    """Each is refused before anything of it runs."""

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    def test_calls_are_refused_with_nothing_run(self, tmp_path, protocol):
        mark = tmp_path / "run"
        for call in (
            _Calls(os.system, f"touch {mark}"),
            _Calls(subprocess.check_output, ["touch", str(mark)]),
            _Calls(eval, f"open({str(mark)!r}, 'w')"),
            _Calls(exec, f"open({str(mark)!r}, 'w')"),
            _Calls(open, str(mark), "w"),
            _Calls(builtins.__import__, "os"),
            _Calls(zipfile.ZipFile, str(mark), "w"),
        ):
            data = pickle.dumps({"meta_archs": [call]}, protocol)
            with pytest.raises(ValueError, match=r"asks for \S+.*nothing of it was run"):
                read(data)
        assert not mark.exists()
        pickle.loads(pickle.dumps(_Calls(open, str(mark), "w"), protocol)).close()
        assert mark.exists()  # so the files above were such that would have run

    def test_the_name_is_given_in_the_message(self):
        with pytest.raises(ValueError, match=r"the file asks for posix\.system, which a file of plain numbers"):
            read(_raw("posix.system"))
        with pytest.raises(ValueError, match=r"asks for .{1,100}, which"):
            read(_raw("a." + "x" * 900))
        with pytest.raises(ValueError, match=r"'a.\\x1b\[2J'"):
            read(_raw("a.\x1b[2J"))

    @pytest.mark.parametrize(
        "name",
        [
            "builtins.eval",
            "builtins.getattr",
            "builtins.dict",
            "numpy.load",
            "numpy.core.multiarray.fromfile",
            "numpy.dtype.newbyteorder",
            "collections.OrderedDict.update",
            "collections.OrderedDict.__init__",
            "collections.defaultdict",
            "torch._utils._rebuild_tensor_v2",
            "torch.FloatStorage",
            "torch.storage._load_from_bytes",
            "_codecs.decode",
        ],
    )
    def test_neighbours_of_allowed_names_are_refused(self, name):
        with pytest.raises(ValueError, match="asks for"):
            read(_raw(name))

    @pytest.mark.parametrize(
        "data",
        [
            b"\x80\x02(S'touch x'\nios\nsystem\n.",  # INST
            b"\x80\x02(ccollections\nOrderedDict\no.",  # OBJ
            b"\x80\x02ccollections\nOrderedDict\n)\x81.",  # NEWOBJ
            b"\x80\x04ccollections\nOrderedDict\n)}\x92.",  # NEWOBJ_EX
            b"\x80\x02\x82\x01.",  # EXT1
            b"\x80\x02\x83\x01\x00.",  # EXT2
            b"\x80\x02\x84\x01\x00\x00\x00.",  # EXT4
            b"\x80\x05\x97.",  # NEXT_BUFFER
            b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00x.",  # BYTEARRAY8
            b"\x80\x02Pid\n.",  # PERSID
            b"\x80\x02I1\n.",  # an opcode of protocol 0
            b"\x80\x02\x8b\x01\x00\x00\x00\x01.",  # LONG4
            b"\x80\x02\xff.",
        ],
    )
    def test_other_opcodes_are_refused(self, data):
        with pytest.raises(ValueError, match=r"the file uses .*, which pickles of plain numbers do not"):
            read(data)

    def test_a_registered_extension_does_not_pass(self):
        copyreg.add_extension("os", "getpid", 117)
        try:
            pickle.loads(b"\x80\x02\x82\x75.")  # now in the cache that passes by `find_class`
            with pytest.raises(ValueError, match="uses EXT1"):
                read(b"\x80\x02\x82\x75.")
        finally:
            copyreg.remove_extension("os", "getpid", 117)
            copyreg.clear_extension_cache()

    @pytest.mark.parametrize(
        "data",
        [
            _raw("numpy.dtype", call=b"X\x02\x00\x00\x00O8K\x00K\x01\x87R"),  # objects
            _raw("numpy.dtype", call=b"X\x0a\x00\x00\x00V999999999K\x00K\x01\x87R"),  # a huge item
            _raw("numpy.dtype", call=b"X\x05\x00\x00\x00f8,f8K\x00K\x01\x87R"),
            _raw("numpy.dtype", call=b"K\x01\x85R"),
            _raw("numpy.dtype", call=b"X\x02\x00\x00\x00f8\x85RK\x03b"),
            _raw("numpy.dtype", call=b"X\x02\x00\x00\x00f8\x85R(K\x03X\x01\x00\x00\x00Otb"),
            _raw("numpy.core.multiarray.scalar", call=b"K\x01K\x02\x86R"),
            _raw("numpy.core.multiarray._reconstruct", call=b")R(K\x01K\x02tb"),
            _raw("_codecs.encode", call=b"X\x01\x00\x00\x00xX\x05\x00\x00\x00rot13\x86R"),
            _raw("_codecs.encode", call=b"K\x01K\x01\x86R"),
            _raw("builtins.set", call=b"]]a\x85R"),
            _raw("builtins.set", call=b"K\x05\x85R"),
            _raw("builtins.bytes", call=b"J\xff\xff\xff\x7f\x85R"),  # two gigabytes of zeros
            _raw("collections.OrderedDict", call=b"X\x02\x00\x00\x00ab\x85R"),
            _raw("collections.OrderedDict", call=b"]]K\x01aa\x85R"),
            _raw("collections.OrderedDict", call=b"]]]a]aa\x85R"),
            _raw("collections.OrderedDict", call=b")R)R"),  # a call of what is no function
            _raw("collections.OrderedDict", call=b"]R"),  # arguments that are no tuple
            _raw("numpy.ndarray", call=b")R"),  # a name that is never called
            _raw("collections.OrderedDict", call=b"0X\x01\x00\x00\x00aNb"),  # the state of a text
        ],
    )
    def test_allowed_functions_take_nothing_else(self, data):
        with pytest.raises(ValueError, match=r"the file (holds|calls|sets) "):
            read(data)

    @pytest.mark.parametrize("shape", [(2**62,), (2**31, 2**31), (-1,), (3,), (True,), (0,) * 100, ("a",)])
    def test_numpy_arrays_of_false_shape_are_refused(self, shape):
        good = pickle.dumps(np.zeros(2), 2)
        begin, end = good.index(b"K\x02\x85"), good.index(b"K\x02\x85") + 3
        bad = good[:begin] + pickle.dumps(shape, 2)[2:-1] + good[end:]
        with pytest.raises(ValueError, match="NumPy array"):
            read(bad)

    def test_the_memo_cannot_be_made_large(self):
        # CPython's own reader allocates 34 GB for the first of these.
        for data in (b"\x80\x02Nr\xff\xff\xff\x7f.", b"\x80\x02Nq\xff.", b"\x80\x02Nr\x02\x00\x00\x00."):
            with pytest.raises(ValueError, match="remembers object"):
                read(data)

    def test_longest_text_can_be_set(self):
        data = pickle.dumps(b"x" * 1000, 4)
        assert read(data, max_text=1000) == b"x" * 1000
        with pytest.raises(ValueError, match="announces a text of 1000 bytes"):
            read(data, max_text=999)

    def test_announced_sizes_allocate_nothing(self):
        for head in (
            b"T\xff\xff\xff\xff",
            b"X\xff\xff\xff\xff",
            b"\x8d" + b"\xff" * 8,
            b"B\xff\xff\xff\xff",
            b"\x8e" + b"\x00" * 7 + b"\x7f",
        ):
            with pytest.raises(ValueError, match="announces a text"):
                read(b"\x80\x04" + head + b"abc.")

    def test_a_deep_key_does_not_reach_hash(self):
        deep = b")" + b"\x85" * 200_000
        for data in (
            b"\x80\x02}" + deep + b"Ns.",
            b"\x80\x04\x8f(" + deep + b"\x90.",
            _raw("builtins.set", call=b"]" + deep + b"a\x85R"),
        ):
            with pytest.raises(ValueError, match="plain"):
                read(data)
        with pytest.raises(ValueError, match="plain keys"):
            read(b"\x80\x02}]Ns.")  # a list as a key

    def test_deep_nesting_is_read_and_thrown_away(self):
        found = read(b"\x80\x02" + b"]" * 300_000 + b"a" * 299_999 + b".")
        assert len(found) == 1

    def test_the_number_of_objects_is_bounded(self):
        for data in (b"\x80\x02" + b"]0" * 2000, b"\x80\x02" + b"(" * 2000, b"\x80\x04" + b"\x8f" * 2000):
            with pytest.raises(ValueError, match="far more objects"):
                read(data, max_containers=1000)

    def test_persistent_ids_need_a_reader(self):
        with pytest.raises(ValueError, match="outside itself"):
            read(b"\x80\x02K\x01Q.")
        assert read(b"\x80\x02K\x01Q.", persistent=lambda i: i + 1) == 2


class TestDamagedFiles:
    @pytest.mark.parametrize("protocol", [2, 4])
    def test_a_file_cut_off_anywhere_is_said_to_be(self, protocol):
        value = {"acc": {0: 1.5, 1: 2.5}, ("cifar10", 777): ["text", b"bytes", np.float64(1.0), {1, 2}, 2**70, None]}
        data = pickle.dumps(collections.OrderedDict(value), protocol)
        read(data)
        for length in range(len(data)):
            with pytest.raises(
                ValueError, match="the file is cut off: it ends in the middle of its data; get it again"
            ):
                read(data[:length])

    @pytest.mark.parametrize("data", [b"hello world", b"<html></html>", b"\x80\x09.", b"\x00" * 100, b"PK\x03\x04" * 9])
    def test_a_foreign_file_is_said_to_be(self, data):
        with pytest.raises(ValueError, match="the file is not a pickle"):
            read(data)

    @pytest.mark.parametrize(
        "data",
        [
            b"\x80\x02.",
            b"\x80\x02NN.",
            b"\x80\x02(N.",
            b"\x80\x02a.",
            b"\x80\x02Na.",
            b"\x80\x02NNNs.",
            b"\x80\x02}(Nu.",
            b"\x80\x02h\x05.",
            b"\x80\x02\x86.",
            b"\x80\x02K\x01\x86.",
            b"\x80\x02X\x01\x00\x00\x00\xff.",
            b"\x80\x04\x8c\x01\xff.",
            b"\x80\x04K\x01K\x02\x93.",
            b"\x80\x04\x8f(]\x90.",
            b"\x80\x02N(t0000.",
        ],
    )
    def test_opcodes_that_do_not_fit_are_said_to_be_damage(self, data):
        with pytest.raises(ValueError, match="the file is damaged"):
            read(data + b"\x00" * 64)

    @hypothesis.given(st.data())
    @hypothesis.settings(max_examples=400, deadline=None)
    def test_any_change_gives_data_or_one_error(self, draws):
        value = {
            "acc": {i: i / 3 for i in range(20)},
            ("a", 1): ["text", b"b", np.float64(1.0), {1, 2}],
            "n": np.arange(3.0),
        }
        data = bytearray(pickle.dumps(value, draws.draw(st.sampled_from([2, 4]))))
        for _ in range(draws.draw(st.integers(1, 4))):
            data[draws.draw(st.integers(0, len(data) - 1))] = draws.draw(st.integers(0, 255))
        read_or_refuse(bytes(data))

    @hypothesis.given(st.binary(max_size=60))
    @hypothesis.settings(max_examples=400, deadline=None)
    def test_any_bytes_give_data_or_one_error(self, data):
        read_or_refuse(b"\x80\x04" + data)

    def test_a_failing_read_is_said_to_be_damage(self):
        def fail(_):
            raise EOFError("ended before the end")

        with pytest.raises(ValueError, match=r"the file is damaged or cut off \(ended before the end\)"):
            load(Stream(fail, "the file"))


class TestHandingOver:
    def test_used_up_dictionaries_are_emptied(self):
        seen = []

        def on_dict(items):
            if "curve" not in items:
                return False
            seen.append(math.fsum(items["curve"].values()))
            return True

        value = {"all": {i: {"curve": {0: 1.0 * i, 1: 0.5}} for i in range(3)}, "text": "t"}
        assert read(pickle.dumps(value, 4), on_dict=on_dict) == {"all": {0: {}, 1: {}, 2: {}}, "text": "t"}
        assert seen == [0.5, 1.5, 2.5]

    def test_what_was_handed_over_cannot_be_referred_to(self):
        shared = {0: 1.0}
        value = [{"curve": shared}, {"curve": shared}]
        with pytest.raises(ValueError, match="refers to the numbers of one architecture from those of another"):
            read(pickle.dumps(value, 2), on_dict=lambda items: "curve" in items)
        assert read(pickle.dumps(value, 2)) == value

    def test_texts_are_kept_once_and_stay(self):
        value = [
            {"curve": {"".join(["a", "b"]): 1.0}},
            {"curve": {"".join(["a", "b"]): 2.0}},
            {"".join(["a", "b"]): 3.0},
        ]
        found = read(pickle.dumps(value, 4), on_dict=lambda items: "curve" in items)
        assert found[2] == {"ab": 3.0}
