#!/usr/bin/env bash
# Issues a host what a company's own CA would give it: company_ca.sh FOLDER NAME ADDRESS writes the root to FOLDER/ca.pem, the key to
# FOLDER/NAME.key, the certificate and that of the CA between them to FOLDER/NAME.pem.
set -euo pipefail
umask 077
mkdir -p "${1:?a folder}"
cd "$1"
name=${2:?a name} address=${3:?an address}

# A new key, and what the CA whose name is given makes of it: certificate NAME SUBJECT CA EXTENSIONS
certificate() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" -keyout "$1.key" |
    openssl x509 -req -days 30 -CA "$3.pem" -CAkey "$3.key" -out "$1.pem" \
      -extfile <(printf '%s\n' subjectKeyIdentifier=hash authorityKeyIdentifier=keyid "${@:4}")
}

if [ ! -e issuing.pem ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj '/CN=Company root' \
    -addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.pem
  certificate issuing 'Company issuing CA' ca basicConstraints=critical,CA:TRUE,pathlen:0 keyUsage=critical,keyCertSign
fi
certificate "$name" "$name" issuing "subjectAltName=DNS:$name,IP:$address" extendedKeyUsage=serverAuth,clientAuth
cat issuing.pem >>"$name.pem"
