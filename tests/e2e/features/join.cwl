# A task that gives the two words it gets, joined.
cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: [printf, '%s+%s']
inputs:
  a: {type: Any, inputBinding: {position: 1}}
  b: {type: Any, inputBinding: {position: 2}}
outputs:
  o:
    type: string
    outputBinding: {glob: joined.txt, loadContents: true, outputEval: "$(self[0].contents)"}
stdout: joined.txt
