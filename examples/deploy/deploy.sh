#!/usr/bin/env bash
# Puts the demo apps onto a fresh Debian machine (12 or newer) with one command:
# nginx with TLS in front, three replicas that share a Redis, all of it started at boot and when it dies.
#
#   sudo examples/deploy/deploy.sh                               asks for nothing; once more brings it up to date
#   sudo examples/deploy/deploy.sh --host dashboards.example.com --app /srv/apps/sales.py
#   sudo examples/deploy/deploy.sh --uninstall                   takes away what it made (not Debian's packages)
#   examples/deploy/deploy.sh --into ~/svc-demo                  to try it: no root, one directory, ports 8080 and 8443
#
#   --host NAME         what users type               (this machine's name)
#   --app PATH          an app, can be repeated       (some of examples/)
#   --replicas N        how many                      (3)
#   --first-port PORT   of the replicas, on loopback  (5100)
#   --http PORT, --https PORT                         (80, 443; with --into 8080, 8443)
#   --systemd, --supervisor   who starts them         (systemd where it runs)
#   --venv DIR          a virtual environment that has svc already, instead of making one
#   --no-start          only write the files
#
# Made once and kept, so change them as you like: svc.env (secrets, any SVC_ variable) and tls/ (put your own
# certificate there). All else is written anew by each run; give the same options again.

set -Eeuo pipefail
trap 'echo "deploy: failed at line $LINENO: $BASH_COMMAND" >&2' ERR

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
demos=(sliders.py weather streaming.py explorer.py counter text_button.py)
host=$(hostname -f 2>/dev/null || hostname)
replicas=3 first_port=5100 http='' https='' into='' venv='' supervise='' uninstall=no start=yes apps=()

main() {
    options "$@"
    places
    if [ "$uninstall" = yes ]; then
        take_away
        return
    fi
    packages
    account
    directories
    environment
    demo_apps
    secrets
    certificate
    replica_command
    balancer
    "${supervise}_files"
    if [ "$start" = yes ]; then
        "${supervise}_start"
        say "serving at https://$authority/"
    fi
}

say() { echo "deploy: $*"; }
fail() { echo "deploy: $*" >&2; exit 2; }

options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --host | --app | --replicas | --first-port | --http | --https | --into | --venv)
                [ $# -gt 1 ] || fail "$1 needs a value"
                take "$1" "$2"; shift ;;
            --systemd | --supervisor) supervise=${1#--} ;;
            --no-start) start=no ;;
            --uninstall) uninstall=yes ;;
            -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit ;;
            *) fail "unknown option $1; --help says which there are" ;;
        esac
        shift
    done
    [[ $replicas =~ ^[1-9][0-9]*$ ]] || fail "--replicas $replicas: not a number of replicas"
}

take() {
    case $1 in
        --host) host=$2 ;;
        --app) apps+=("$(realpath -e "$2")") || fail "there is no app $2" ;;
        --replicas) replicas=$2 ;;
        --first-port) first_port=$2 ;;
        --http) http=$2 ;;
        --https) https=$2 ;;
        --into) into=$(realpath -m "$2") ;;
        --venv) venv=$(realpath -e "$2") || fail "there is no virtual environment $2" ;;
    esac
}

# Where everything is: below one directory with --into, else where Debian has such things.
places() {
    if [ -n "$into" ]; then
        home=$into conf=$into/etc redis=unix://$into/run/redis.sock
        site=$conf/site.conf units=$conf/systemd http=${http:-8080} https=${https:-8443}
        supervise=${supervise:-supervisor} account=$(id -un) python=python3
        [ "$supervise" = supervisor ] || [ "$start" = no ] || fail "--into with --systemd needs --no-start"
    else
        [ "$(id -u)" -eq 0 ] || fail "this needs root; --into DIR does not"
        home=/opt/svc conf=/etc/svc redis=redis://127.0.0.1:6379/0
        site=/etc/nginx/conf.d/svc.conf units=/etc/systemd/system http=${http:-80} https=${https:-443}
        account=svc python=/usr/bin/python3  # Debian's: the account svc may not see others
        if [ -z "$supervise" ]; then
            supervise=supervisor
            [ ! -d /run/systemd/system ] || supervise=systemd
        fi
    fi
    PATH=$PATH:/usr/sbin
    made=$home/.made-by-deploy
    own_venv=$home/venv venv=${venv:-$home/venv}
    authority=$host
    [ "$https" = 443 ] || authority=$host:$https
    ports=$(seq "$first_port" $((first_port + replicas - 1)))
}

# -- what is needed ----------------------------------------------------------------------------------------

packages() {
    if [ -n "$into" ]; then
        for program in nginx redis-server openssl supervisord; do
            command -v $program >/dev/null || fail "there is no $program: apt-get install ${program%d}"
        done
        return
    fi
    local wanted="nginx redis-server openssl ca-certificates python3-venv" missing=''
    [ "$supervise" = systemd ] || wanted="$wanted supervisor"
    for each in $wanted; do
        dpkg-query -W -f '${Status}' "$each" 2>/dev/null | grep -q ' installed$' || missing="$missing $each"
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

account() {
    [ -n "$into" ] || id svc >/dev/null 2>&1 ||
        useradd --system --user-group --home-dir /var/lib/svc --create-home --shell /usr/sbin/nologin svc
}

directories() {
    install -d "$home" "$conf" "$conf/tls"
    touch "$made"
    [ -z "$into" ] || install -d "$into/run" "$into/log"
}

environment() {
    if [ "$venv" = "$own_venv" ]; then
        say "installing svc into $venv"
        [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
            --constraint "$repository/constraints.txt" "$repository"
    fi
    [ -x "$venv/bin/svc" ] || fail "there is no svc in $venv"
}

demo_apps() {
    [ ${#apps[@]} -eq 0 ] || return 0
    rm -rf "$home/apps"
    install -d "$home/apps"
    for each in "${demos[@]}"; do
        cp -r "$repository/examples/$each" "$home/apps/"
        apps+=("$home/apps/$each")
    done
}

# -- what is made once -------------------------------------------------------------------------------------

secrets() {
    [ ! -e "$conf/svc.env" ] || return 0
    (umask 077; cat >"$conf/svc.env" <<END
# Read by every replica. Any option of svc serve can be set here: see docs/options.md.
SVC_SECRET_KEY=$("$venv/bin/svc" secret)
SVC_COOKIE_SECRET=$("$venv/bin/svc" secret)
SVC_REDIS_URL=$redis
# nginx does not look at readiness: it tries the next replica when one accepts no more connections.
SVC_DRAIN_DELAY=0
END
    )
    [ -n "$into" ] || { chgrp svc "$conf/svc.env" && chmod 640 "$conf/svc.env"; }
}

certificate() {
    [ ! -e "$conf/tls/cert.pem" ] || return 0
    say "making a certificate for $host, which browsers will warn of"
    (umask 077; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 730 \
        -subj "/CN=$host" -addext "subjectAltName=$(subject)" \
        -keyout "$conf/tls/key.pem" -out "$conf/tls/cert.pem" 2>/dev/null)
    chmod 644 "$conf/tls/cert.pem"
}

subject() { [[ $host =~ ^[0-9.]+$ ]] && echo "IP:$host" || echo "DNS:$host"; }

# -- what is written each time -----------------------------------------------------------------------------

replica_command() {
    cat >"$home/replica" <<END
#!/bin/sh
# Starts the replica on port \$1. Written by deploy.sh.
set -a
. "$conf/svc.env"
set +a
exec "$venv/bin/svc" serve --address 127.0.0.1 --port "\$1" --use-xheaders \\
    --allow-websocket-origin "$authority"$(printf ' \\\n    "%s"' "${apps[@]}")
END
    chmod 755 "$home/replica"
}

balancer() {
    cat >"$site" <<END
# Written by deploy.sh.
map \$http_upgrade \$svc_connection { default upgrade; "" close; }

upstream svc {
$(printf '    server 127.0.0.1:%s max_fails=0;\n' $ports)
    keepalive 32;
}

server {
    listen $http;
    server_name $host;
    return 301 https://$authority\$request_uri;
}

server {
    listen $https ssl;
    server_name $host;
    ssl_certificate $conf/tls/cert.pem;
    ssl_certificate_key $conf/tls/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;

    location / {
        proxy_pass http://svc;
        proxy_http_version 1.1;
        proxy_set_header Upgrade \$http_upgrade;
        proxy_set_header Connection \$svc_connection;
        proxy_set_header Host \$http_host;
        proxy_set_header X-Forwarded-For \$remote_addr;
        proxy_set_header X-Forwarded-Proto \$scheme;
        proxy_buffering off;
        proxy_read_timeout 120s;
        proxy_connect_timeout 2s;
        proxy_next_upstream error timeout http_503 non_idempotent;
        proxy_next_upstream_tries 2;
    }

    # For other replicas, probes and Prometheus, which ask the server itself; /admin is for operators (docs/deploy.md).
    location ~ ^/((_svc|admin)(/|\$)|(metrics|healthz|readyz|startupz)\$) {
        return 404;
    }
}
END
}

# -- systemd -----------------------------------------------------------------------------------------------

systemd_files() {
    install -d "$units"
    cat >"$units/svc@.service" <<END
[Unit]
Description=svc replica on port %i
After=network.target redis-server.service
Wants=redis-server.service

[Service]
User=$account
ExecStart=$home/replica %i
Restart=always
RestartSec=1
# Longer than --drain-timeout, in which its sessions move to the others.
TimeoutStopSec=45
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=read-only
StateDirectory=svc

[Install]
WantedBy=multi-user.target
END
}

systemd_start() {
    systemctl daemon-reload
    for unit in $(systemctl list-units --all --plain --no-legend 'svc@*' | cut -d' ' -f1); do
        wanted "$unit" || systemctl disable --now "$unit"
    done
    for port in $ports; do
        systemctl enable --quiet "svc@$port"
        systemctl restart "svc@$port"  # one by one: the others take its sessions
        wait_ready "$port"
    done
    nginx -t -q
    systemctl enable --quiet nginx
    systemctl reload-or-restart nginx
}

wanted() {
    local port=${1#svc@}
    [[ " $(echo $ports) " == *" ${port%.service} "* ]]
}

# -- Supervisor --------------------------------------------------------------------------------------------

supervisor_files() {
    if [ -n "$into" ]; then
        supervisor_of_our_own
    else
        replica_programs >/etc/supervisor/conf.d/svc.conf
    fi
}

replica_programs() {
    cat <<END
; Written by deploy.sh.
[program:svc]
command=$home/replica %(process_num)d
process_name=%(process_num)d
numprocs=$replicas
numprocs_start=$first_port
user=$account
autorestart=true
stopsignal=TERM
; Longer than --drain-timeout, in which its sessions move to the others.
stopwaitsecs=45
redirect_stderr=true
${into:+stdout_logfile=$into/log/%(process_num)d.log}
END
}

supervisor_of_our_own() {
    cat >"$conf/nginx.conf" <<END
$([ "$(id -u)" -ne 0 ] || echo 'user root;')
daemon off;
pid $into/run/nginx.pid;
error_log $into/log/nginx.log;
events { }
http {
    access_log off;
$(for each in client_body proxy fastcgi uwsgi scgi; do echo "    ${each}_temp_path $into/run/$each;"; done)
    include $site;
}
END
    cat >"$conf/supervisord.conf" <<END
; Written by deploy.sh.
[supervisord]
logfile=$into/log/supervisord.log
pidfile=$into/run/supervisord.pid
childlogdir=$into/log
$([ "$(id -u)" -ne 0 ] || echo 'user=root')

[unix_http_server]
file=$into/run/supervisor.sock

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://$into/run/supervisor.sock

[program:redis]
command=$(command -v redis-server) --port 0 --unixsocket $into/run/redis.sock --save "" --dir $into/run
priority=1

[program:nginx]
command=$(command -v nginx) -e $into/log/nginx.log -c $conf/nginx.conf
priority=1000

$(replica_programs)
END
    nginx -t -q -e "$into/log/nginx.log" -c "$conf/nginx.conf"
}

control() {
    if [ -n "$into" ]; then
        supervisorctl -c "$conf/supervisord.conf" "$@"
    else
        supervisorctl "$@"
    fi
}

supervisor_start() {
    local before
    before=$(control status 2>/dev/null | grep RUNNING || true)
    if [ -n "$into" ]; then
        control pid >/dev/null 2>&1 || supervisord -c "$conf/supervisord.conf"
    else
        running redis-server
        running supervisor
    fi
    control update >/dev/null
    for port in $ports; do
        if grep -q "svc:$port " <<<"$before"; then
            control restart "svc:$port" >/dev/null  # one by one: the others take its sessions
        fi
        wait_ready "$port"
    done
    if [ -n "$into" ]; then
        control signal HUP nginx >/dev/null
    else
        nginx -t -q
        running nginx
        service nginx reload >/dev/null
    fi
}

running() { service "$1" status >/dev/null 2>&1 || service "$1" start >/dev/null; }

wait_ready() {
    "$venv/bin/python" - "$1" <<'END'
import sys, time, urllib.request

deadline = time.monotonic() + 60
while True:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/readyz", timeout=2)
        break
    except OSError as error:
        if time.monotonic() > deadline:
            sys.exit(f"deploy: the replica on port {sys.argv[1]} is not ready after a minute: {error}")
        time.sleep(0.1)
END
}

# -- the end -----------------------------------------------------------------------------------------------

take_away() {
    [ -e "$made" ] || fail "nothing was deployed to $home"
    if [ -n "$into" ]; then
        stop_our_supervisor
        rm -rf "$into/venv" "$into/apps" "$into/etc" "$into/run" "$into/log" "$into/replica" "$made"
        rmdir --ignore-fail-on-non-empty "$into"
    else
        "forget_$supervise"
        rm -rf /opt/svc /etc/svc "$site"
        userdel --remove svc 2>/dev/null || true
        ! nginx -t -q || service nginx reload >/dev/null
    fi
    say "taken away"
}

stop_our_supervisor() {
    local pid
    pid=$(control pid 2>/dev/null) || return 0
    control shutdown >/dev/null
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
}

forget_systemd() {
    systemctl disable --now 'svc@*.service' 2>/dev/null || true
    for unit in /etc/systemd/system/multi-user.target.wants/svc@*.service; do
        [ ! -L "$unit" ] || systemctl disable --now "$(basename "$unit")"
    done
    rm -f "$units/svc@.service"
    systemctl daemon-reload
}

forget_supervisor() {
    rm -f /etc/supervisor/conf.d/svc.conf
    control update >/dev/null
}

main "$@"
