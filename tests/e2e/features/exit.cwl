# A task that ends with the exit code it is told: 0 and 9 are successes, and only those make a file (cwltool collects
# what a failed task left, ours does not).
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'case $0 in 0 | 9) echo code $0 > code_$0.txt ;; esac; exit $0']
successCodes: [0, 9]
permanentFailCodes: [8]
temporaryFailCodes: [7]
inputs: {code: {type: int, inputBinding: {}}}
outputs: {o: {type: File, outputBinding: {glob: code_*.txt}}}
