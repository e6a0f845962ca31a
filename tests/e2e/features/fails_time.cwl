# A tool that takes longer than its time limit.
cwlVersion: v1.2
class: CommandLineTool
requirements: {ToolTimeLimit: {timelimit: 1}}
baseCommand: [sh, -c, 'sleep 20; touch o.txt']
inputs: []
outputs: {o: {type: File, outputBinding: {glob: o.txt}}}
