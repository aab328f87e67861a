#!/bin/sh
# The demo's agent: it stands where a coding agent stands in a real fleet. It reads its brief on standard input, does
# the survey the brief asks for, and reports what it spent in the result file, metered by the text it really read:
# tokens of four bytes, priced by the model it was given.
set -eu

brief=$(cat)
folder=$(printf '%s\n' "$brief" | grep -o '\./[A-Za-z0-9_./-]*' | head -n 1 | sed 's/[.,]$//')
: "${folder:?the brief names no folder such as ./budget}"
if [ ! -d "$folder" ]; then
  echo "there is no folder $folder here"
  exit 1
fi

case "$MOSAIC_AGENT_MODEL" in
  opus) price=20 ;;   # micro-credits a token: opus : sonnet : haiku = 5 : 3 : 1
  haiku) price=4 ;;
  *) price=12 ;;
esac

echo "surveying $folder on $MOSAIC_AGENT_MODEL"
files=$(find "$folder" -name '*.go' | wc -l | tr -d ' ')
tests=$(find "$folder" -name '*_test.go' | wc -l | tr -d ' ')
lines=$(find "$folder" -name '*.go' -exec cat {} + | wc -l | tr -d ' ')
bytes=$(find "$folder" -name '*.go' -exec cat {} + | wc -c | tr -d ' ')
longest=$(find "$folder" -name '*.go' -exec wc -l {} \; | sort -rn | head -n 1 | awk '{print $2 " (" $1 " lines)"}')
spent=$((bytes / 4 * price))
echo "read $bytes bytes"

cat > "$MOSAIC_RESULT_FILE" <<RESULT
{
  "outcome": "done",
  "actuals": [{"unit": "credits", "micros": $spent}],
  "result": {"summary": "$folder holds $files Go files, $tests of them tests, $lines lines in all. The longest is $longest."}
}
RESULT
