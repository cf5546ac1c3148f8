#!/bin/sh
# Unpacks Debian's Cyrus IMAP for StartCyrus, without installing it: as a
# package it would put Dovecot out and start a service.
#
#   install-cyrus.sh [DIRECTORY]    default: /usr/local/lib/mailbrook-cyrus as
#                                   root, else mailbrook-cyrus in the cache
#
# Does nothing where it was done. Needs apt's lists and no rights.
set -eu
if [ "$(id -u)" = 0 ]; then
	default=/usr/local/lib/mailbrook-cyrus
else
	default=${XDG_CACHE_HOME:-$HOME/.cache}/mailbrook-cyrus
fi
dir=${1:-$default}
[ -e "$dir/complete" ] && exit 0

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp"
# Libraries that the system lacks come along: apt says which.
libs=$(apt-get install -s --no-install-recommends cyrus-imapd cyrus-pop3d libsasl2-modules |
	awk '$1 == "Inst" && $2 ~ /^lib/ && $3 !~ /^\[/ { print $2 }')
(
	cd "$tmp"
	# shellcheck disable=SC2086 # A list of words.
	apt-get download -q cyrus-common cyrus-imapd cyrus-pop3d $libs
)
mkdir -p "$dir"
chmod 755 "$dir"
for deb in "$tmp"/*.deb; do
	dpkg -x "$deb" "$dir"
done
touch "$dir/complete"
