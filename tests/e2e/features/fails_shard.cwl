# A shard of a scatter fails: the others' outputs stay, what needs all of them does not run, the rest does.
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, InlineJavascriptRequirement: {}}
inputs: {codes: {type: 'int[]', default: [0, 3, 0]}}
outputs:
  each: {type: 'File[]', outputSource: make/o}
  gathered: {type: File, outputSource: gather/o}
  apart: {type: File, outputSource: apart/o}
  chained: {type: File, outputSource: after/o}
steps:
  make: {scatter: code, in: {code: codes}, out: [o], run: exit.cwl}
  gather:
    in: {files: make/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {files: {type: 'File[]', inputBinding: {}}}
      outputs: {o: stdout}
  apart: {in: {code: {default: 9}}, out: [o], run: exit.cwl}
  after: {in: {code: {default: 8}}, out: [o], run: exit.cwl}
