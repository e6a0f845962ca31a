# A tool that makes an output of another type than it says.
cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: [echo, word]
inputs: []
outputs: {n: {type: int, outputBinding: {glob: out.txt, loadContents: true, outputEval: '$(self[0].contents)'}}}
stdout: out.txt
