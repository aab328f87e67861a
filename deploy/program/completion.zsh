#compdef mosaic-matrix
# zsh completion for mosaic-matrix: mosaic-matrix completion zsh > "${fpath[1]}/_mosaic-matrix"
_mosaic_matrix() {
    local -a candidates
    local word about
    while IFS=$'\t' read -r word about; do
        candidates+=("${word//:/\\:}:$about")
    done < <("${(Q)words[1]/#\~/$HOME}" complete "${(@Q)words[1,CURRENT]}" 2>/dev/null)
    if (( $#candidates )); then
        _describe 'mosaic-matrix' candidates
    else
        _files
    fi
}
if [[ $funcstack[1] == _mosaic-matrix ]]; then
    _mosaic_matrix "$@"
else
    compdef _mosaic_matrix mosaic-matrix
fi
