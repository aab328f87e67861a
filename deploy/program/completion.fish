# fish completion for mosaic-matrix: mosaic-matrix completion fish > ~/.config/fish/completions/mosaic-matrix.fish
function __mosaic_matrix_complete
    set -l words (commandline -opc)
    set -l offered ($words[1] complete $words "$(commandline -ct)" 2>/dev/null)
    if test (count $offered) -gt 0
        printf '%s\n' $offered
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c mosaic-matrix -f -a '(__mosaic_matrix_complete)'
