#!/bin/sh
# `-flag` or `file.conf` as the first argument means redis-server, as in the official image.
set -e
case "${1:-}" in
  -* | *.conf) set -- redis-server "$@" ;;
esac
# Inside a container the network decides who may connect; a bare server would refuse everybody but itself.
if [ "${1:-}" = redis-server ]; then
  shift
  case " $* " in *protected-mode*) ;; *) set -- "$@" --protected-mode no ;; esac
  set -- redis-server "$@"
fi
exec "$@"
