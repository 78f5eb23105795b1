"""Small films with everything in them, made with libav, and what one compares of two files."""

import hashlib
import itertools
import struct
from fractions import Fraction

import av
import numpy as np

MASTER = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
HDR10 = {
    "preset": "ultrafast",
    "x265-params": f"log-level=none:hdr10=1:master-display={MASTER}:max-cll=1000,400",
}
PQ = {"color_primaries": 9, "color_trc": 16, "colorspace": 9, "color_range": 1}
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour
Style: Default,Sans,20,&H00FFFFFF

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.10,0:00:00.60,Default,,0,0,0,,One
Dialogue: 0,0:00:00.70,0:00:01.10,Default,,0,0,0,,Two
"""
SRT = "1\n00:00:00,200 --> 00:00:00,500\nUn\n\n2\n00:00:00,600 --> 00:00:00,900\nDeux\n"
CHAPTERS = [
    {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {"title": "A"}},
    {
        "id": 2,
        "start": 500,
        "end": 1000,
        "time_base": Fraction(1, 1000),
        "metadata": {"title": "B"},
    },
]


def picture(number, width, height, bits, rng):
    """Return luma (height, width) of a slow pan over soft stripes, with grain."""
    x, y = np.meshgrid(np.arange(width) + 2 * number, np.arange(height))
    luma = 0.5 + 0.25 * np.sin(x / 17) * np.cos(y / 11) + rng.normal(0, 0.01, x.shape)
    return np.round(luma * ((1 << bits) - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def fill(frame, number, rng):
    """Draw into every plane of a frame."""
    bits = frame.format.components[0].bits
    for at, plane in enumerate(frame.planes):
        dtype = np.uint8 if bits == 8 else np.uint16
        rows = np.frombuffer(plane, dtype).reshape(plane.height, -1)
        if at == 0:
            rows[:, : plane.width] = picture(number, plane.width, plane.height, bits, rng)
        else:
            rows[:, : plane.width] = (1 << (bits - 1)) + (number + at) % 9
    return frame


def make(
    path,
    *,
    codec="libx264",
    pixels="yuv420p",
    size=(320, 180),
    ticks=30,
    rate=Fraction(24000, 1001),
    time_base=Fraction(1, 24000),
    options=None,
    colour=None,
    aspect=None,
    matrix=None,
    muxer=None,
    before=None,
    after=None,
    tags=None,
    bit_rate=0,
    container_options=None,
    **fields,
):
    """Write a film; `ticks` are the times of its frames, or how many there are at `rate`.

    `before(output)` adds streams and `after(output, added)` writes their packets.
    """
    if isinstance(ticks, int):
        ticks = [round(i / rate / time_base) for i in range(ticks)]
    rng = np.random.default_rng(7)
    with av.open(str(path), "w", format=muxer, container_options=container_options or {}) as output:
        video = output.add_stream(codec, rate=rate, bit_rate=bit_rate)
        video.width, video.height, video.pix_fmt = *size, pixels
        video.codec_context.time_base = video.time_base = time_base
        video.codec_context.options = options or {}
        for key, value in {**(colour or {}), **fields}.items():
            setattr(video.codec_context, key, value)
        if aspect:
            video.codec_context.sample_aspect_ratio = aspect
        if matrix:
            video.set_display_matrix(matrix)
        added = before(output) if before else None
        output.metadata.update(tags or {})
        steps = [b - a for a, b in itertools.pairwise(ticks)]
        steps.append(steps[-1])
        packets = []
        for number, (tick, step) in enumerate(zip(ticks, steps, strict=True)):
            frame = fill(av.VideoFrame(*size, pixels), number, rng)
            frame.pts, frame.time_base, frame.duration = tick, time_base, step
            for key, value in (colour or {}).items():
                setattr(frame, key, value)
            packets += video.encode(frame)
        packets += video.encode()
        for packet in packets:
            packet.duration = packet.duration or steps[ticks.index(packet.pts)]
        output.start_encoding()
        if after:
            after(output, added)
        output.mux(packets)
    return path


def add_sound(output, *, codec="aac", language="eng", title="Main", tone=440.0, seconds=1.25):
    """Add an audio stream and return it with its packets."""
    stream = output.add_stream(codec, rate=48_000)
    stream.codec_context.layout = "stereo"
    stream.metadata.update(language=language, title=title)
    return stream, (tone, seconds)


def sound_packets(stream, tone, seconds, *, start=0):
    """Encode a tone."""
    codec = stream.codec_context
    codec.open(strict=False)
    size = codec.frame_size or 1024
    packets = []
    for at in range(0, round(48_000 * seconds), size):
        t = (np.arange(size) + at) / 48_000
        wave = np.stack([np.sin(2 * np.pi * tone * t), np.cos(2 * np.pi * tone * t)]) / 2
        name = codec.format.name
        if name.startswith("s16"):
            wave = (wave * 32_000).astype(np.int16)
        if name.startswith("s32"):
            wave = (wave * 2_000_000_000).astype(np.int32)
        wave = wave.astype(np.float32) if name.startswith("flt") else wave
        if not name.endswith("p"):
            wave = wave.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), name, "stereo")
        frame.sample_rate, frame.pts = 48_000, at + start
        frame.time_base = Fraction(1, 48_000)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def rich_matroska(path, **settings):
    """Write a film with two sound tracks, two subtitle tracks, a font, a cover and chapters."""
    texts = {"ass": (ASS, "eng"), "srt": (SRT, "fra")}
    files = {}
    for kind, (text, _) in texts.items():
        files[kind] = path.with_suffix(f".{kind}")
        files[kind].write_text(text)
    opened = {kind: av.open(str(file)) for kind, file in files.items()}

    def before(output):
        sounds = [
            add_sound(output),
            add_sound(output, codec="flac", language="jpn", title="Commentary", tone=330.0),
        ]
        sounds[1][0].disposition = av.stream.Disposition.comment
        lines = {}
        for kind, source in opened.items():
            lines[kind] = output.add_stream_from_template(source.streams.subtitles[0])
            lines[kind].metadata.update(language=texts[kind][1], title=f"{kind} lines")
        lines["srt"].disposition = av.stream.Disposition.forced
        output.add_attachment("Font.ttf", "application/x-truetype-font", b"\0\1\0\0" + bytes(99))
        output.add_attachment("cover.png", "image/png", cover())
        output.set_chapters(CHAPTERS)
        return sounds, lines

    def after(output, added):
        sounds, lines = added
        for stream, tone in sounds:
            output.mux(sound_packets(stream, *tone))
        for kind, source in opened.items():
            for packet in source.demux(source.streams.subtitles[0]):
                if packet.size:
                    packet.stream = lines[kind]
                    output.mux_one(packet)
            source.close()

    tags = {"title": "A film", "DIRECTOR": "Nobody", "comment": "été"}
    return make(path, before=before, after=after, tags=tags, **settings)


def cover():
    """Return a small PNG."""
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = 16, 16, "rgb24"
    codec.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 90, np.uint8), format="rgb24")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


def text_packets(stream, lines):
    """Make 3GPP timed text packets of (start, length, text) in milliseconds."""
    packets = []
    for start, length, text in lines:
        packet = av.Packet(struct.pack(">H", len(text)) + text)
        packet.pts = packet.dts = start
        packet.duration, packet.time_base, packet.stream = length, Fraction(1, 1000), stream
        packets.append(packet)
    return packets


def passing(path, *, leave_out=0):
    """Return all that is to be the same in two files: streams, packets, tags and chapters."""
    with av.open(str(path)) as film:
        streams = {}
        for item in film.streams:
            context = item.codec_context
            streams[item.index] = {
                "type": item.type,
                "codec": context.codec.canonical_name if context else item.name,
                "extradata": context.extradata if context else getattr(item, "data", None),
                "tags": {
                    k: v for k, v in item.metadata.items() if k not in {"DURATION", "encoder"}
                },
                "disposition": int(item.disposition),
                "packets": [],
            }
        for packet in film.demux():
            if packet.size and packet.stream.index != leave_out:
                times = [
                    None if tick is None else tick * packet.time_base
                    for tick in (packet.pts, packet.dts, packet.duration)
                ]
                side = sorted((s.data_type, bytes(s)) for s in packet.iter_sidedata())
                digest = hashlib.sha256(bytes(packet)).hexdigest()
                streams[packet.stream.index]["packets"].append((*times, digest, side))
        tags = {k: v for k, v in film.metadata.items() if k.lower() != "encoder"}
        chapters = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"])
            for c in film.chapters()
        ]
    return {"streams": streams, "tags": tags, "chapters": chapters}


def decoded(path):
    """Return [(pts × time base, duration, [planes as bytes])] of the first video stream."""
    found = []
    with av.open(str(path)) as film:
        for frame in film.decode(film.streams.video[0]):
            planes = []
            for plane in frame.planes:
                size = 1 if frame.format.components[0].bits <= 8 else 2
                rows = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
                planes.append(rows[:, : plane.width * size].tobytes())
            base = frame.time_base
            found.append((frame.pts * base, frame.duration * base, planes))
    return found
