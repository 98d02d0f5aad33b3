"""From the bytes of JPEG and PNG files to pixels, by TensorFlow's operations alone.

An exported model decodes where there is no Python. The rules, and the pixels, are those of
`image_files`: what `headers` reads off a file with Pillow is read off its bytes here.

- JPEG (ITU-T T.81, annex B): segments of a marker and a size, up to the scan. EXIF, and XMP, which
  counts where EXIF says nothing, are in segments APP1.
- PNG (ISO/IEC 15948): chunks of a size, a name, the content and a checksum. The colour type, or a
  chunk tRNS, says that an image may be transparent; EXIF is in a chunk eXIf.
- EXIF (CIPA DC-008): a TIFF directory, entries of 12 bytes, of which the tag 274 is the
  orientation. One that is a fraction or a float, as no camera writes it, is left out.
"""

import functools

import tensorflow as tf

from mixmo_tf.data import crops, decoding

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"  # what the files begin with
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_APP1, _SCAN = 0xE1, 0xDA  # markers of a JPEG
_STANDALONE = (0x01, *range(0xD0, 0xDA))  # those without a size
_COLOUR_TYPE, _WITH_OPACITY = 25, (4, 6)  # where it is in a PNG, and which have an opacity
_ORIENTATION = 274
_SHORTS, _LONGS = (3, 8), (4, 9)  # the types of an entry that are whole numbers
_OF_XMP = r'(?s)^\C*?tiff:Orientation(?:="|>)([0-9])\C*$'
_MOST_SEGMENTS = 1000  # that are looked at, of a JPEG
_MOST_CHUNKS = 2**14  # of a PNG, as many as TensorFlow writes for 134 MB
_MOST_BYTES = 2**29  # of an image, decoded: TensorFlow's own limit of a JPEG, not of a PNG
_AT_ONCE = 4  # images that are decoded; each may take `_MOST_BYTES`, a transparent one more
_WIDTH, _HEIGHT = 16, 20  # where they are in a PNG


def pixels(
    contents: tf.Tensor, image_shape: tuple[int, int, int], central_fraction: float = 1.0
) -> tf.Tensor:
    """The images in files' bytes, uint8 (n, height, width, 3); see `image_files.read_images`.

    Args:
        contents: str (n,), each a JPEG or a PNG, which its first bytes tell; n may be 0.
        image_shape: (height, width, 3).
        central_fraction: float in (0, 1], how much of the shorter side a square takes.

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs, if a content is of another kind, or
            damaged, or too large, or `image_shape` is not square and the image not of its size.
    """
    height, width, _ = image_shape
    is_read = _begin(contents, _JPEG) | _begin(contents, _PNG)
    message = "image_bytes must be of JPEG or PNG files; of another kind, or empty, are number"
    check = tf.debugging.Assert(tf.reduce_all(is_read), [message, tf.where(~is_read)[:, 0]])

    def image(content):
        decoded = _decoded(content)
        if height == width:
            decoded = crops.central_square(decoded, height, central_fraction)
        return tf.ensure_shape(decoded, image_shape)

    with tf.control_dependencies([check]):
        num_bytes = tf.map_fn(_num_bytes, contents, fn_output_signature=tf.int64)
    is_small = num_bytes < _MOST_BYTES  # the decoder of PNG takes any number
    message = f"image_bytes must be of images below {_MOST_BYTES:,} bytes decoded; number"
    too_large = tf.where(~is_small)[:, 0]
    check = tf.debugging.Assert(tf.reduce_all(is_small), [message, too_large, num_bytes])
    with tf.control_dependencies([check]):
        contents = tf.identity(contents)
    spec = tf.TensorSpec(image_shape, tf.uint8)
    return tf.map_fn(image, contents, fn_output_signature=spec, parallel_iterations=_AT_ONCE)


def _decoded(content):
    """The pixels of a JPEG or PNG, str (), as a viewer shows them, uint8 (h, w, 3)."""

    def of_jpeg():
        return tf.io.decode_jpeg(content, channels=3), _orientation(*_metadata_of_jpeg(content))

    def of_png():
        exif, is_transparent = _metadata_of_png(content)
        image = tf.cond(
            is_transparent,
            lambda: decoding.on_white(tf.io.decode_png(content, channels=4)),
            lambda: tf.io.decode_png(content, channels=3),
        )
        return image, _orientation(exif, tf.constant(b""))

    image, orientation = tf.cond(_begin(content, _JPEG), of_jpeg, of_png)
    turned = [functools.partial(decoding.turned, image, number) for number in range(1, 9)]
    return tf.switch_case(orientation - 1, turned)


def _num_bytes(content):
    """What the pixels of a JPEG or PNG will take, int64 (), by its header; it takes no memory."""

    def of_jpeg():
        return [*tf.unstack(tf.io.extract_jpeg_shape(content)[:2]), 3]

    def of_png():
        sizes = (_number(_bytes(content, at, 4), is_little=False) for at in (_HEIGHT, _WIDTH))
        return [*sizes, tf.where(_metadata_of_png(content)[1], 4, 3)]

    sizes = tf.cond(_begin(content, _JPEG), of_jpeg, of_png)
    return tf.reduce_prod(tf.cast(tf.stack(sizes), tf.int64))


def _metadata_of_jpeg(content):
    """EXIF, without what it begins with, and XMP, str (); empty where there is none."""
    end = tf.strings.length(content)

    def next_segment(at, exif, xmp):
        first, marker, high, low = tf.unstack(_bytes(content, at, 4))
        is_marker = (first == 0xFF) & (marker != 0xFF) & (marker != 0)
        has_size = is_marker & ~_is_in(marker, _STANDALONE)
        size = tf.where(has_size, 256 * high + low, 0)  # with the two bytes that say it
        body = _part(content, at + 4, tf.where(marker == _APP1, size - 2, 0))
        exif = tf.where((exif == b"") & _begin(body, _EXIF), body, exif)
        xmp = tf.where(_begin(body, _XMP), body, xmp)
        step = tf.where(is_marker, 2 + size, 1)  # what is no marker is passed over
        return tf.where(is_marker & (marker == _SCAN), end, at + step), exif, xmp

    _, exif, xmp = tf.while_loop(
        lambda at, exif, xmp: at < end,
        next_segment,
        (2, b"", b""),
        maximum_iterations=_MOST_SEGMENTS,
    )
    return _part(exif, len(_EXIF), end), xmp


def _metadata_of_png(content):
    """EXIF, str (), empty where there is none; and whether it may be transparent, bool ()."""
    end = tf.strings.length(content)

    def next_chunk(at, exif, is_transparent):
        size = tf.cast(_number(_bytes(content, at, 4), is_little=False), tf.int32)
        size = tf.where(size < 0, end, tf.minimum(size, end - at))  # 2³¹ or more are none's
        name = _part(content, at + 4, 4)
        is_last = (name == b"IEND") | ((name == b"IDAT") & (exif != b""))
        body = _part(content, at + 8, tf.where((name == b"eXIf") & (exif == b""), size, 0))
        exif = tf.where(exif == b"", body, exif)
        return tf.where(is_last, end, at + size + 12), exif, is_transparent | (name == b"tRNS")

    (colour_type,) = tf.unstack(_bytes(content, _COLOUR_TYPE, 1))
    _, exif, is_transparent = tf.while_loop(
        lambda at, exif, is_transparent: at < end,
        next_chunk,
        (len(_PNG), b"", _is_in(colour_type, _WITH_OPACITY)),
        maximum_iterations=_MOST_CHUNKS,
    )
    return exif, is_transparent


def _orientation(exif, xmp):
    """How an image is to be turned, int32 (), 1 … 8; 1 where neither says it."""
    end = tf.strings.length(exif)
    exif = tf.where(_begin(exif, _EXIF), _part(exif, len(_EXIF), end), exif)  # it may stand twice
    is_little = _begin(exif, b"II*\0")
    is_tiff = is_little | _begin(exif, b"MM\0*")
    start = tf.cast(_number(_bytes(exif, 4, 4), is_little), tf.int32)
    count = tf.cast(_number(_bytes(exif, start, 2), is_little), tf.int32)
    entries = tf.io.decode_raw(_part(exif, start + 2, 12 * count), tf.uint8)
    entries = tf.reshape(entries[: tf.size(entries) // 12 * 12], (-1, 12))
    entries = tf.concat([entries, tf.zeros((1, 12), tf.uint8)], axis=0)  # so that there is one
    entries = tf.cast(entries, tf.int32)
    is_it = (_number(entries[:, :2], is_little) == _ORIENTATION) & is_tiff
    entry = entries[tf.argmax(tf.cast(is_it, tf.int32))]  # the first
    kind, number = _number(entry[2:4], is_little), _number(entry[4:8], is_little)
    short, long = _number(entry[8:10], is_little), _number(entry[8:12], is_little)
    is_short = _is_in(kind, _SHORTS) & _is_in(number, (1, 2))  # of two, the first
    is_long = _is_in(kind, _LONGS) & (number == 1)
    of_exif = tf.where(is_short, short, tf.where(is_long, long, 1))
    digit = tf.strings.regex_replace(xmp, _OF_XMP, r"\1")
    of_xmp = tf.where(tf.strings.length(digit) == 1, _bytes(digit, 0, 1)[0] - ord("0"), 1)
    counts_xmp = ~tf.reduce_any(is_it) & (is_tiff | (exif == b""))
    found = tf.where(tf.reduce_any(is_it), of_exif, tf.where(counts_xmp, of_xmp, 1))
    return tf.where((found >= 1) & (found <= 8), found, 1)


def _bytes(content, at, count):
    """Bytes of a str (), int32 (count,); beyond its end they are 0."""
    found = tf.cast(tf.io.decode_raw(_part(content, at, count), tf.uint8), tf.int32)
    return tf.reshape(tf.pad(found, [[0, count - tf.size(found)]]), (count,))


def _part(content, at, count):
    """What of a str () is there of so many bytes, str (), from the position `at`, int32 (), on."""
    length = tf.strings.length(content)
    at = tf.where((at < 0) | (at > length), length, at)  # below 0: beyond 2³¹
    return tf.strings.substr(content, at, tf.maximum(count, 0))


def _number(digits, is_little):
    """What bytes, int32 (…, count), spell, int32 (…); below 0 where it is 2³¹ or more."""
    digits = tf.where(is_little, tf.reverse(digits, [-1]), digits)
    powers = [256**i for i in reversed(range(digits.shape[-1]))]
    return tf.reduce_sum(digits * powers, axis=-1)


def _is_in(value, choices):
    return tf.reduce_any(value == tf.constant(choices))


def _begin(contents, start):
    return tf.strings.substr(contents, 0, len(start)) == start
