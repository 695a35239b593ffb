#!/usr/bin/env bash
# Asks about a figure with curl: explains it in one call, then keeps it, talks about it twice, and has it forgotten.
#
#     make up                     # in another terminal
#     examples/curl.sh            # or with the gateway's URL; LLAVA_GRAPH_KEY where it wants a key
set -euo pipefail
cd "$(dirname "$0")"

url=${1:-http://127.0.0.1:8000}
caption='Optical density of three strains over 48 hours.'
ask=(curl --silent --show-error --fail-with-body)
if [ -n "${LLAVA_GRAPH_KEY:-}" ]; then ask+=(--header "Authorization: Bearer $LLAVA_GRAPH_KEY"); fi

echo '== explain: the events as they come'
"${ask[@]}" --no-buffer --form image=@growth.png --form caption="$caption" "$url/v1/explain"

echo '== upload: the figure is kept, and the text in it is being read'
kept=$("${ask[@]}" --form image=@growth.png --form caption="$caption" "$url/v1/figures")
echo "$kept"
id=$(grep -o 'fig_[0-9a-f]*' <<<"$kept")

chat() { # chat MESSAGES: the next answer, as one JSON object
    "${ask[@]}" --header 'Content-Type: application/json' --data "{\"messages\":$1,\"stream\":false,\"max_tokens\":48}" \
        "$url/v1/figures/$id/chat"
    echo
}

echo '== chat: a question, and the next one with what was said before'
chat '[{"role":"user","content":"Explain this figure."}]'
chat '[{"role":"user","content":"Explain this figure."},
       {"role":"assistant","content":"It shows the growth of three strains."},
       {"role":"user","content":"Which strain grows fastest?"}]'

echo '== delete: the figure is forgotten'
"${ask[@]}" --request DELETE --write-out 'HTTP %{http_code}\n' "$url/v1/figures/$id"
