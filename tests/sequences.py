"""Small image sequences in every format that studios hand over, and what a viewer makes of them."""

import struct

import cv2
import numpy as np
from studio import picture

from watermark.key import Key

KEY = Key(bytes(range(32)))
NUMBER = 0x5EED00C0FFEE


def film(count, *, height=180, width=320, seed=1):
    """Yield frames of a slow pan, float64 (H, W, 3), 0–1, as a viewer sees them."""
    base = picture(seed, height + 120, width + 120).astype(np.float64) / 255
    for at in range(count):
        yield base[at : at + height, 2 * at : 2 * at + width]


def light_of(shown, *, exposure=1.0):
    """Return the light that sRGB shows so."""
    low, high = shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4
    return exposure * np.where(shown <= 0.04045, low, high)


def srgb_view(light):
    """Return what the usual view shows of light, uint8: sRGB, cut off at white."""
    known = np.clip(np.nan_to_num(light.astype(np.float64), posinf=1.0), 0, 1)
    shown = np.where(known <= 0.0031308, 12.92 * known, 1.055 * known ** (1 / 2.4) - 0.055)
    return np.rint(255 * shown).astype(np.uint8)


def filmic_view(light):
    """Return what a filmic view shows of light, uint8 (Hejl and Burgess-Dawson, 2010)."""
    known = np.maximum(np.nan_to_num(light.astype(np.float64), posinf=1e4) - 0.004, 0)
    shown = known * (6.2 * known + 0.5) / (known * (6.2 * known + 1.7) + 0.06)
    return np.rint(255 * shown).astype(np.uint8)


def density_of(light):
    """Return 10-bit Cineon code values of light, by the formula of its own paper."""
    black = 10 ** ((95 - 685) * 0.002 / 0.6)
    return 685 + np.log10(np.maximum(light * (1 - black) + black, 1e-4)) * 0.6 / 0.002


def light_of_density(codes):
    """Undo `density_of`."""
    black = 10 ** ((95 - 685) * 0.002 / 0.6)
    return (10 ** ((codes.astype(np.float64) - 685) * 0.002 / 0.6) - black) / (1 - black)


def jpeg(pixels, quality=75):
    """Return RGB (uint8) after JPEG."""
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def channels_of(light, dtype="f2"):
    """Return R, G and B of light for OpenEXR."""
    stored = light.astype(dtype)
    return {name: np.ascontiguousarray(stored[..., at]) for at, name in enumerate("RGB")}


def write_exr(path, channels, **header):
    """Write one part, ZIP unless said otherwise."""
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage} | header
    OpenEXR.File(header, dict(channels)).write(str(path))


def read_exr(path):
    """Return the channels of the first part."""
    import OpenEXR

    file = OpenEXR.File(str(path), separate_channels=True)
    return {name: channel.pixels for name, channel in file.parts[0].channels.items()}


def dpx(samples, bits, *, order=">", method="A", transfer=4, seed=0, **fields):
    """Return a DPX file of samples (H, W, channels), its free fields filled with noise.

    ``fields`` are `descriptor`, `aspect` (across, down), `orientation`, `elements`, `packing`,
    `encoding`, `sign`, `padding` (bytes after each line) and `tail` (bytes after the image).
    """
    height, width, count = samples.shape
    rng = np.random.default_rng(seed)
    header = bytearray(rng.integers(0, 256, 2048, np.uint8).tobytes())  # time code, film, user
    header[:4] = b"SDPX" if order == ">" else b"XPDS"
    descriptor = fields.get("descriptor", {1: 6, 3: 50, 4: 51}[count])
    packing = fields.get("packing", {"A": 1, "B": 2}[method] if bits in {10, 12} else 0)
    struct.pack_into(f"{order}I", header, 4, 2048)
    struct.pack_into(f"{order}HH", header, 768, fields.get("orientation", 0), 1)
    struct.pack_into(f"{order}H", header, 770, fields.get("elements", 1))
    struct.pack_into(f"{order}III", header, 772, width, height, fields.get("sign", 0))
    header[800:804] = bytes([descriptor, transfer, transfer, bits])
    struct.pack_into(f"{order}HH", header, 804, packing, fields.get("encoding", 0))
    struct.pack_into(f"{order}II", header, 808, 2048, fields.get("padding", 0))
    struct.pack_into(f"{order}II", header, 1628, *fields.get("aspect", (0, 1)))
    if bits == 10:
        low = 2 if method == "A" else 0
        red, green, blue = (samples[..., at].astype(np.uint32) for at in range(3))
        words = (red << (20 + low)) | (green << (10 + low)) | (blue << low)
        filling = rng.integers(0, 4, words.shape, np.uint32)
        words |= filling if method == "A" else filling << np.uint32(30)
        lines = words.astype(f"{order}u4").reshape(height, -1).view(np.uint8)
    elif bits == 8:
        lines = samples.astype(np.uint8).reshape(height, -1)
    else:
        low = 4 if bits == 12 and method == "A" else 0
        lines = (samples.astype(np.uint16) << low).astype(f"{order}u2").reshape(height, -1)
        lines = lines.view(np.uint8)
    padding = fields.get("padding", 0) or -lines.shape[1] % 4
    lines = np.pad(lines, ((0, 0), (0, padding)), constant_values=0x5A)
    return bytes(header) + lines.tobytes() + fields.get("tail", b"")
