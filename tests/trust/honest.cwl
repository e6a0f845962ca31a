# What honest documents do with files in expressions, as far as it is like what a hostile one would.
cwlVersion: v1.2
class: Workflow
requirements:
  InlineJavascriptRequirement: {expressionLib: ["var inputs = {}; function up(f) { f.basename = 'up-' + f.basename; return f; }"]}
  StepInputExpressionRequirement: {}
  ScatterFeatureRequirement: {}
inputs: {f: File, d: Directory, words: 'string[]'}
outputs:
  collected: {type: Directory, outputSource: collect/o}
  renamed: {type: File, outputSource: rename/o}
  listed: {type: File, outputSource: list/o}
  made: {type: 'File[]', outputSource: literal/o}
  counted: {type: File, outputSource: count/o}
steps:
  gather:
    in: {f: f, d: d}
    out: [o]
    run:
      class: ExpressionTool
      inputs: {f: File, d: {type: Directory, loadListing: deep_listing}}
      outputs: {o: Directory}
      expression: |
        ${ var child = {class: "File", location: inputs.d.location + "/sub/c%23%2541.txt", basename: "again.txt"};
           return {o: {class: "Directory", basename: "all", listing: [up(inputs.f), child].concat(inputs.d.listing)}}; }
  collect:
    in: {d: gather/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [cp, -rL]
      arguments: [{position: 2, valueFrom: $(runtime.outdir)/copy}]
      inputs: {d: {type: Directory, inputBinding: {position: 1}}}
      outputs: {o: {type: Directory, outputBinding: {glob: copy}}}
  rename:
    in: {f: {source: f, valueFrom: "$(up(self))"}}
    out: [o]
    run:
      class: CommandLineTool
      inputs: {f: {type: File, secondaryFiles: [{pattern: "$(self.nameroot + '.idx')", required: false}]}}
      arguments: [{position: 2, valueFrom: $(inputs.f.nameroot + ".out")}, {position: 1, valueFrom: "$(inputs.f)"}]
      requirements: {InitialWorkDirRequirement: {listing: [{entry: "$({class: 'Directory', basename: 'x', listing: [inputs.f]})"}]}}
      baseCommand: [sh, -c, 'cat "$1" > "$2" && echo index > up-a.idx', sh]
      outputs:
        o:
          type: File
          secondaryFiles: [{pattern: "$('up-a.idx')"}]
          outputBinding:
            glob: "$(inputs.f.nameroot + '.out')"
            outputEval: "${ self[0].basename = 'new.out'; return self; }"
  list:
    in: {d: {source: d, loadListing: shallow_listing, valueFrom: "$(self.listing)"}}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sort]
      arguments: [b c.txt]
      requirements: {InitialWorkDirRequirement: {listing: "$(inputs.d)"}}
      inputs: {d: {type: {type: array, items: [File, Directory]}}}
      outputs: {o: stdout}
      stdout: $("sorted").txt
  literal:
    scatter: word
    in: {word: words}
    out: [o]
    run:
      class: ExpressionTool
      inputs: {word: string}
      outputs: {o: File}
      expression: "$({o: {class: 'File', basename: inputs.word, contents: inputs.word, path_of: 'x'}})"
  count:
    in: {files: literal/o, f: f}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cat "$1" -', sh]
      stdin: "$(inputs.f.path)"
      inputs: {files: {type: 'File[]', inputBinding: {valueFrom: "$(self.slice(0, 1))"}}, f: File}
      outputs: {o: {type: File, outputBinding: {outputEval: "$({class: 'File', path: runtime.outdir + '/counted'})"}}}
      stdout: counted
