#!/usr/bin/env bash
# A log and its client of a C2SP witness, written from the text of C2SP alone (signed-note, tlog-checkpoint, tlog-cosignature,
# tlog-witness) with openssl and curl. It shares no code with the witness that it talks to.
#
#   tlog-client.sh key DIR ORIGIN              makes the log's key and prints its verifier key
#   tlog-client.sh run DIR ORIGIN URL VKEY     has three checkpoints cosigned, tries what must be refused, prints each status
set -euo pipefail
mode=$1 dir=$2 origin=$3
cd "$dir"

raw_public() { openssl pkey -in key.pem -pubout -outform DER | tail -c 32; }
key_id() { { printf '%s\n\x01' "$origin"; raw_public; } | openssl dgst -sha256 -binary | head -c 4; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
b64() { base64 -w0; }

if [ "$mode" = key ]; then
  openssl genpkey -algorithm ed25519 -out key.pem 2>/dev/null
  echo "$origin+$(key_id | hex)+$({ printf '\x01'; raw_public; } | b64)"
  exit
fi
url=$4 vkey=$5

leaf() { printf '\x00%s' "$1" | openssl dgst -sha256 -binary >"$2"; }
node() { { printf '\x01'; cat "$1" "$2"; } | openssl dgst -sha256 -binary >"$3"; }

# checkpoint SIZE ROOT-FILE KEY-FILE: prints the signed note
checkpoint() {
  printf '%s\n%s\n%s\n' "$origin" "$1" "$(b64 <"$2")" >body
  openssl pkeyutl -sign -rawin -in body -inkey "$3" -out sig
  cat body
  printf '\n— %s %s\n' "$origin" "$({ key_id; cat sig; } | b64)"
}

# add NAME OLD NOTE-FILE [HASH-FILE...]: posts and prints NAME, status and, for a 409, the content type and body
add() {
  local name=$1 old=$2 note=$3
  shift 3
  {
    printf 'old %s\n' "$old"
    for hash in "$@"; do printf '%s\n' "$(b64 <"$hash")"; done
    printf '\n'
    cat "$note"
  } >request
  post "$name"
}
post() {
  status=$(curl -sS -o reply -w '%{http_code} %{content_type}' --data-binary @request "$url/add-checkpoint")
  echo "$1 ${status%% *}"
  if [ "${status%% *}" = 409 ]; then echo "$1-type ${status#* }"; echo "$1-held $(cat reply)"; fi
}

# Checks the reply as tlog-cosignature says: name and key id of VKEY, then time and signature over time and checkpoint.
check() {
  local name=${vkey%%+*} rest=${vkey#*+} blob
  blob=$(sed -n "s/^— ${name//\//\\/} //p" reply)
  [ "$(printf %s "$blob" | base64 -d | head -c 4 | hex)" = "${rest%%+*}" ] || { echo "$1-cosignature wrong-key-id"; return; }
  printf %s "$blob" | base64 -d | tail -c 64 >cosig
  local time=$((16#$(printf %s "$blob" | base64 -d | head -c 12 | tail -c 8 | hex)))
  { printf 'cosignature/v1\ntime %s\n' "$time"; sed '/^$/,$d' "$2"; } >message
  { printf '\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00'; printf %s "${rest#*+}" | base64 -d | tail -c 32; } >witness.der
  if openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey witness.der -in message -sigfile cosig >/dev/null 2>&1; then
    echo "$1-cosignature good $(($(date +%s) - time))"
  else
    echo "$1-cosignature bad"
  fi
}

leaf one l0; leaf two l1; leaf three l2; leaf other x1
node l0 l1 r2; node r2 l2 r3; node l0 x1 x2
openssl genpkey -algorithm ed25519 -out stranger.pem 2>/dev/null
checkpoint 1 l0 key.pem >c1
checkpoint 2 r2 key.pem >c2
checkpoint 3 r3 key.pem >c3
checkpoint 2 x2 key.pem >fork
checkpoint 3 r3 stranger.pem >forged

add unknown 0 <(sed "s|^$origin|example.com/nobody|" c1)
add first 0 c1
check first c1
add second 1 c2 l1
check second c2
add again 2 c2
check again c2
add behind 1 c2 l1
add greater 3 c2
add forged 2 forged l2
add wrong-proof 2 c3 l1
add forked 2 fork
add third 2 c3 l2
check third c3
printf 'old two\n\n' >request; cat c3 >>request; post malformed
head -c 70000 /dev/zero | tr '\0' a >request; post too-long
echo "monitor $(curl -sS -o latest -w '%{http_code}' "$url/$(printf %s "$origin" | openssl dgst -sha256 -binary | hex)/checkpoint")"
if sed '/^$/,$d' latest | cmp -s - <(sed '/^$/,$d' c3); then echo 'monitored the third'; fi
