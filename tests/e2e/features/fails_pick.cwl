# Sources that pickValue cannot choose from, known only when tasks have run; an output of the wrong type.
cwlVersion: v1.2
class: Workflow
requirements: {MultipleInputFeatureRequirement: {}, InlineJavascriptRequirement: {}}
inputs: []
outputs:
  code: {type: File, outputSource: first/o}
  only: {type: 'File?', outputSource: use/o}
steps:
  first: {in: {code: {default: 0}}, out: [o], run: exit.cwl}
  second: {in: {code: {default: 9}}, out: [o], run: exit.cwl}
  use:
    in: {file: {source: [first/o, second/o], pickValue: the_only_non_null}}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {file: {type: File, inputBinding: {}}}
      outputs: {o: stdout}
