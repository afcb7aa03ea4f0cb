# sh ending.sh VARIABLE MARK SESSION SIGNAL: signals the processes with VARIABLE=MARK in their environment and all that they started, but
# for what left the SESSION; of the first of them when it is empty. Prints the session and their names, nothing when there are none.
# No SIGNAL: only looks.
marked=$1=$2 session=$3 signal=$4
pids= found=' ' first=
for dir in /proc/[0-9]*; do
  pid=${dir#/proc/}
  { IFS= read -r stat <"$dir/stat"; } 2>/dev/null || continue
  rest=${stat##*')'}
  name=${stat#*'('}
  set -- $rest
  case $1 in Z | X | '') continue ;; esac
  pids="$pids $pid"
  eval "parent_$pid=\$2 session_$pid=\$4 started_$pid=\${20}"
  eval "name_$pid=\${name%')'*}"
  # The variables run together: a mark is as long as every other, and nothing else contains one.
  { while IFS= read -r line || [ -n "$line" ]; do
    case $line in *"$marked"*) found="$found$pid " ;; esac
  done <"$dir/environ"; } 2>/dev/null
done
if [ -z "$session" ]; then
  for pid in $found; do
    eval "started=\$started_$pid"
    if [ -z "$first" ] || [ "$started" -lt "$first" ]; then
      first=$started
      eval "session=\$session_$pid"
    fi
  done
fi
kept=' '
for pid in $found; do
  eval "[ \"\$session_$pid\" = \"$session\" ]" && kept="$kept$pid "
done
grown=yes
while [ -n "$grown" ]; do
  grown=
  for pid in $pids; do
    case $kept in *" $pid "*) continue ;; esac
    eval "parent=\$parent_$pid own=\$session_$pid"
    case $kept in *" $parent "*) [ "$own" = "$session" ] && kept="$kept$pid " grown=yes ;; esac
  done
done
[ "$kept" != ' ' ] || exit 0
printf '%s\n' "$session"
for pid in $kept; do
  eval "printf '%s\\n' \"\$name_$pid\""
  [ -z "$signal" ] || kill -s "$signal" "$pid" 2>/dev/null
done
exit 0
