# Widths and conditions that only a task's output decides: files and words, a subworkflow, inside a scatter too.
cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
  SubworkflowFeatureRequirement: {}
  InlineJavascriptRequirement: {}
  StepInputExpressionRequirement: {}
  MultipleInputFeatureRequirement: {}
inputs: {n: {type: int, default: 2}}
outputs:
  sizes: {type: 'string[]', outputSource: each/o}
  some_made: {type: {type: array, items: ['null', string]}, outputSource: some/o}
  taken: {type: 'string[]', outputSource: [some/o, each/o], linkMerge: merge_flattened, pickValue: all_non_null}
  none_made: {type: 'string[]', outputSource: none/o}
  gathered: {type: File, outputSource: gather/o}
steps:
  make:
    in: {n: n}
    out: [files, names, empty]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'for i in $(seq $0); do printf %0${i}d 0 > f$i.txt; done']
      inputs: {n: {type: int, inputBinding: {}}}
      outputs:
        files: {type: 'File[]', outputBinding: {glob: 'f*.txt'}}
        names: {type: 'string[]', outputBinding: {glob: 'f*.txt', outputEval: '$(self.map(function(f) {return f.nameroot}))'}}
        empty: {type: 'File[]', outputBinding: {glob: 'g*.txt'}}
  each:
    scatter: [file, name]
    scatterMethod: dotproduct
    in: {file: make/files, name: make/names}
    out: [o]
    run:
      class: Workflow
      inputs: {file: File, name: string}
      outputs: {o: {type: string, outputSource: join/o}}
      steps:
        join:
          run: join.cwl
          in: {file: file, a: name, b: {source: name, valueFrom: $(inputs.file.size)}}
          out: [o]
  some:
    scatter: a
    when: $(inputs.a == "f2")
    run: join.cwl
    in: {a: make/names, b: {default: only}}
    out: [o]
  none: {run: join.cwl, scatter: a, in: {a: make/empty, b: n}, out: [o]}
  gather:
    in: {files: make/files}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {files: {type: 'File[]', inputBinding: {}}}
      outputs: {o: stdout}
      stdout: all.txt
