#!/bin/sh
# feeds: gateway
# Run once as root on the Raspberry Pi: no swap on the SD card, a real clock instead of the pretended one, root file
# system without access times. Idempotent. Bookworm's names; not tried on a board: unverified.
set -eu
[ "$(id -u)" = 0 ] || { echo "run me as root: sudo sh $0" >&2; exit 6; }

# Swap on an SD card wears it out and hides a leak until the card is dead; the unit's MemoryMax= is the bound instead.
if systemctl cat dphys-swapfile.service >/dev/null 2>&1; then
    systemctl disable --now dphys-swapfile.service
    rm -f /var/swap
fi

# fake-hwclock writes the time of the last shutdown back at boot: with a DS3231 that is a lie that looks like a clock.
if [ -e /dev/rtc0 ]; then
    if dpkg -s fake-hwclock >/dev/null 2>&1; then
        systemctl disable --now fake-hwclock.service
        apt-get -y purge fake-hwclock
    fi
else
    echo "no /dev/rtc0: fit a DS3231 and set config.txt first; fake-hwclock stays" >&2
fi

# Writing at each reading of a file is what noatime avoids.
findmnt -no OPTIONS / | grep -q noatime || echo "add noatime to the root line of /etc/fstab" >&2
