"""Installs the Debian packages on a minimal Debian 12 that systemd-nspawn boots, in a network of tests/lab.

FAIRLEAD_PACKAGES: the folder of the packages (default build-packages/, which tools/package.sh fills).
FAIRLEAD_CACHE: where the minimal system is kept (default ~/.cache/fairlead).
"""
