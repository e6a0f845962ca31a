# secondaryFiles of inputs and outputs, by pattern, by expression, optional; passed on by a workflow.
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}, ScatterFeatureRequirement: {}, MultipleInputFeatureRequirement: {}, StepInputExpressionRequirement: {}}
inputs:
  given: {type: File, secondaryFiles: [.idx, {pattern: ^.opt, required: false}, {pattern: .none, required: false}]}
outputs:
  made: {type: File, outputSource: index/o, secondaryFiles: [.idx, ^.dict]}
  looked: {type: File, outputSource: use/o}
  given_back: {type: File, outputSource: given}
  each_made: {type: 'File[]', outputSource: each/o}
steps:
  index:
    in: {given: given}
    out: [o]
    run:
      class: CommandLineTool
      requirements: {InlineJavascriptRequirement: {}}
      baseCommand: [sh, -c, 'cat $0 $0.idx > new.txt; echo i > new.txt.idx; echo d > new.dict; echo e > new_extra']
      inputs: {given: {type: File, inputBinding: {}, secondaryFiles: [.idx]}}
      outputs:
        o:
          type: File
          outputBinding: {glob: new.txt}
          secondaryFiles: [.idx, ^.dict, $(self.nameroot)_extra, "${ return [self.basename + '.idx', null]; }"]
  use:
    in: {file: index/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cd $(dirname $0) && cat new.txt.idx new.dict && ls new*']
      inputs: {file: {type: File, inputBinding: {}, secondaryFiles: [{pattern: .idx}, {pattern: ^.dict}]}}
      outputs: {o: stdout}
      stdout: looked.txt
  each:
    scatter: file
    in: {file: {source: [index/o, given], linkMerge: merge_flattened}}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cat $0 $0.idx']
      inputs: {file: {type: File, inputBinding: {}, secondaryFiles: .idx}}
      outputs: {o: stdout}
      stdout: $(inputs.file.nameroot).out
