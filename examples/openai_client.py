"""Asks about a figure with OpenAI's own client, streamed, and then once more about the same figure.

make up                                  # in another terminal
pip install openai
python examples/openai_client.py         # or with the gateway's URL; OPENAI_API_KEY where it wants a key
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Any

from openai import OpenAI

FIGURE = Path(__file__).with_name("growth.png")
CAPTION = "Optical density of three strains over 48 hours."


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    openai = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("OPENAI_API_KEY", "none"))
    model = next(iter(openai.models.list())).id

    image = base64.b64encode(FIGURE.read_bytes()).decode()
    messages: list[Any] = [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
                {"type": "text", "text": "Explain this figure."},
            ],
        }
    ]
    # What OpenAI's interface has no place for: the caption, which the model is told together with the figure's text.
    figure = {"figure": {"caption": CAPTION}}

    answer = ""
    for chunk in openai.chat.completions.create(
        model=model, messages=messages, extra_body=figure, stream=True, stream_options={"include_usage": True}
    ):
        if chunk.usage:
            print(f"\n\n{chunk.usage.prompt_tokens} tokens read, {chunk.usage.completion_tokens} written")
        for choice in chunk.choices:
            answer += choice.delta.content or ""
            print(choice.delta.content or "", end="", flush=True)
            if choice.finish_reason:  # this chunk tells what the gateway knows besides
                named = {known_line(chunk, link) for link in chunk.figure["grounding"]}
                print(f"\n\nNamed as the figure has it: {', '.join(sorted(named))}", end="")

    # A follow-up question brings the whole conversation; the engine computes only what is new.
    messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": "Which strain grows fastest?"}]
    second = openai.chat.completions.create(model=model, messages=messages, extra_body=figure)
    print(f"\nWhich strain grows fastest?\n{second.choices[0].message.content}")


def known_line(chunk: Any, link: dict[str, int]) -> str:
    """The text in the figure that a stretch of the answer names."""
    text: str = chunk.figure["ocr"]["lines"][link["line"]]["text"]
    return text


if __name__ == "__main__":
    main()
