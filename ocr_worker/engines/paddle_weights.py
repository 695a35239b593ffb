"""PP-OCRv6 (small) as PaddleOCR wants it, made of the ONNX files in the rapidocr wheel: nothing is downloaded.

    python -m ocr_worker.engines.paddle_weights OUT

writes `OUT/PP-OCRv6_small_det` and `OUT/PP-OCRv6_small_rec`, each with `inference.onnx` and `inference.yml`, for
`LLAVA_GRAPH_OCR_MODEL_DIR`. The wheel is only looked into, not imported: `pip install --no-deps rapidocr` is enough,
and leaves PaddleOCR's own OpenCV alone. Where PaddleOCR may download its models, none of this is needed.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import click
import onnxruntime

DETECTOR = "PP-OCRv6_small_det"
RECOGNISER = "PP-OCRv6_small_rec"

_SOURCES = {DETECTOR: "PP-OCRv6_det_small.onnx", RECOGNISER: "PP-OCRv6_rec_small.onnx"}


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(out: Path) -> None:
    """Write the model folders of the PaddleOCR engine to OUT."""
    source = _wheel_models()
    for model_name, file_name in _SOURCES.items():
        folder = out / model_name
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / "inference.onnx"
        shutil.copyfile(source / file_name, weights)
        config = _detection() if model_name == DETECTOR else _recognition(_characters(weights))
        # JSON is YAML, and every sign of the character list survives it.
        text = json.dumps({"Global": {"model_name": model_name}, **config}, ensure_ascii=False, indent=1)
        (folder / "inference.yml").write_text(text, encoding="utf-8")
    click.echo(f"{out}: {', '.join(_SOURCES)}")


def _wheel_models() -> Path:
    spec = importlib.util.find_spec("rapidocr")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / "models" / _SOURCES[DETECTOR]).is_file():
            return Path(folder) / "models"
    raise click.ClickException("the rapidocr wheel is not installed: pip install --no-deps 'rapidocr>=3.10,<3.11'")


def _characters(recogniser: Path) -> list[str]:
    session = onnxruntime.InferenceSession(recogniser, providers=["CPUExecutionProvider"])
    listed: str = session.get_modelmeta().custom_metadata_map["character"]
    return listed.splitlines()


def _detection() -> dict[str, Any]:
    """Sizes are given with each call; thresholds are PP-OCR's."""
    # Channel means and deviations of ImageNet, in OpenCV's order.
    normal = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "scale": "1./255.", "order": "hwc"}
    return {
        "PreProcess": {
            "transform_ops": [
                {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
                {"DetResizeForTest": {"resize_long": 960}},
                {"NormalizeImage": normal},
                {"ToCHWImage": None},
                {"KeepKeys": {"keep_keys": ["image", "shape", "polys", "ignore_tags"]}},
            ]
        },
        "PostProcess": {
            "name": "DBPostProcess",
            "thresh": 0.3,
            "box_thresh": 0.6,
            "max_candidates": 1000,
            "unclip_ratio": 1.5,
        },
    }


def _recognition(characters: list[str]) -> dict[str, Any]:
    return {
        "PreProcess": {
            "transform_ops": [
                {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
                {"RecResizeImg": {"image_shape": [3, 48, 320]}},
                {"KeepKeys": {"keep_keys": ["image", "label_ctc", "label_gtc", "length", "valid_ratio"]}},
            ]
        },
        "PostProcess": {"name": "CTCLabelDecode", "character_dict": characters},
    }


if __name__ == "__main__":
    main()
