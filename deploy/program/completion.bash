# bash completion for mosaic-matrix: source <(mosaic-matrix completion bash)
_mosaic_matrix() {
    local word about words=() i
    COMPREPLY=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        # bash parts --flag=value into three words; "=" is none for us.
        if [[ ${COMP_WORDS[i]} == "=" ]]; then
            ((i == COMP_CWORD)) && words+=("")
            continue
        fi
        words+=("${COMP_WORDS[i]}")
    done
    while IFS=$'\t' read -r word about; do
        COMPREPLY+=("$word")
    done < <("${COMP_WORDS[0]/#\~/$HOME}" complete "${words[@]}" 2>/dev/null)
}
complete -o bashdefault -o default -F _mosaic_matrix mosaic-matrix
