#!/usr/bin/env bash
# Trains paper-x4, paper-x8 and paper-camera, one after the other, in about MINUTES minutes of joint
# training and a few for what they share. The same line goes on where it was stopped.
#
#   train/ship.sh DATA PARSING MASKS FEATURES OUT MINUTES
#
#   DATA      faces: CelebA's folder, aligned archives, or a prepared folder
#   PARSING   faces with labelled parts, as CelebAMask-HQ, for the parser
#   MASKS     folder of mask templates, worn beside the drawn ones
#   FEATURES  VGG-16 or SqueezeNet 1.1 weights, or vgg16 for torchvision's own
#   OUT       folder of the runs; OUT/weights holds the three weight files at the end
#   MINUTES   time for the three joint stages together
#
# Environment: JDSR, the command (jdsr); WORKERS, processes that make samples (the cores less one);
# DEVICE (auto); X4, X8 and CAMERA, recipes (lease_x4, lease_x8, lease_camera); STEPS, that many
# steps of every stage instead of MINUTES, for a trial; EVERY, steps between validations (1000).
set -euo pipefail

if [[ $# -ne 6 ]]; then
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
fi
data=$1 parsing=$2 masks=$3 features=$4 out=$5 minutes=$6
read -r -a jdsr <<<"${JDSR:-jdsr}"
workers=${WORKERS:-$(($(nproc) > 1 ? $(nproc) - 1 : 1))}

part() { # of the minutes that the share given in hundredths stands for
    awk -v minutes="$minutes" -v share="$1" 'BEGIN { printf "%.2f", minutes * share / 100 }'
}

run() { # share of the time, then what `jdsr train` is given
    local share=$1
    shift
    local length=(--minutes "$(part "$share")")
    if [[ -n ${STEPS:-} ]]; then length=(--steps "$STEPS"); fi
    local vgg=()
    if [[ $features != vgg16 ]]; then vgg=(--features "$features"); fi
    "${jdsr[@]}" train --data "$data" --masks "$masks" "${vgg[@]}" --cache "$out/cache" \
        --device "${DEVICE:-auto}" --workers "$workers" --validate-every "${EVERY:-1000}" \
        "$@" "${length[@]}"
}

run 45 --recipe "${X4:-lease_x4}" --out "$out/x4" --parsing "$parsing"
shared=(
    --init "$out/x4/weights/paper_x4.safetensors"
    --labels "$out/x4/parser/parser.safetensors"
    --identity "$out/x4/identity/identity.safetensors"
)
run 20 --recipe "${X8:-lease_x8}" --out "$out/x8" "${shared[@]}"
run 35 --recipe "${CAMERA:-lease_camera}" --out "$out/camera" "${shared[@]}"

mkdir -p "$out/weights"
: >"$out/weights/manifest.toml.part"
for name in x4 x8 camera; do
    cp "$out/$name"/weights/*.safetensors "$out/weights/"
    cat "$out/$name/weights/manifest.toml" >>"$out/weights/manifest.toml.part"
    echo >>"$out/weights/manifest.toml.part"
done
mv "$out/weights/manifest.toml.part" "$out/weights/manifest.toml"
