# What CWL v1.0 had otherwise: listings without asking, InitialWorkDir by name, the network, a step's shadowed input.
cwlVersion: v1.0
class: Workflow
requirements: {InlineJavascriptRequirement: {}, ScatterFeatureRequirement: {}, StepInputExpressionRequirement: {}}
inputs:
  folder: {type: Directory, default: {class: Directory, location: data/folder}}
  files: {type: 'File[]', default: [{class: File, location: data/words.txt}, {class: File, location: data/third.txt}]}
outputs:
  names: {type: string, outputSource: names/o}
  counts: {type: 'File[]', outputSource: count/o}
steps:
  names:
    in: {folder: folder}
    out: [o]
    run:
      class: ExpressionTool
      inputs: {folder: Directory}
      outputs: {o: string}
      expression: '$({o: inputs.folder.listing.map(function(e) {return e.basename}).sort().join()})'
  count:
    scatter: file
    in: {file: files, name: {valueFrom: $(inputs.file.nameroot).count}}
    out: [o]
    run:
      class: CommandLineTool
      requirements: {InitialWorkDirRequirement: {listing: [$(inputs.file)]}, InlineJavascriptRequirement: {}}
      baseCommand: [sh, -c, 'wc -c < $0 > $1; [ -f "$0" ]']
      inputs: {file: {type: File, inputBinding: {valueFrom: $(self.basename)}}, name: {type: string, inputBinding: {position: 1}}}
      outputs: {o: {type: File, outputBinding: {glob: $(inputs.name)}}}
