# valueFrom, default, loadContents and loadListing of step inputs, expressionLib, a chain of ExpressionTools.
cwlVersion: v1.2
class: Workflow
requirements:
  StepInputExpressionRequirement: {}
  MultipleInputFeatureRequirement: {}
  InlineJavascriptRequirement:
    expressionLib: ['function twice(word) { return word + word; }', 'var SEP = "/";']
inputs:
  word: {type: string, default: w}
  absent: {type: 'string?'}
  file: {type: File, default: {class: File, location: data/words.txt}}
  folder: {type: Directory, default: {class: Directory, location: data/folder}}
outputs:
  joined: {type: string, outputSource: join/o}
  chained: {type: string, outputSource: second/o}
  contents: {type: string, outputSource: contents/o}
  names: {type: 'string[]', outputSource: names/o}
  of_task: {type: string, outputSource: of_task/o}
  sum: {type: int, outputSource: join/n}
steps:
  join:
    in:
      first: {source: word, valueFrom: $(twice(self) + SEP + inputs.other)}
      other: {source: absent, default: was null}
      several: {source: [word, absent], valueFrom: $(self.length)}
    out: [o, n]
    run:
      class: ExpressionTool
      inputs: {first: string, other: string, several: int}
      outputs: {o: string, n: int}
      expression: |
        ${ return {o: inputs.first + SEP + inputs.other, n: inputs.several + 1}; }
  first: &append
    in: {a: join/o, b: {valueFrom: $("<" + inputs.a + ">")}}
    out: [o]
    run: &concatenate
      class: ExpressionTool
      inputs: {a: string, b: string}
      outputs: {o: string}
      expression: '$({o: inputs.a + inputs.b})'
  second: {in: {a: first/o, b: {default: end}}, out: [o], run: *concatenate}
  contents:
    in: {file: {source: file, loadContents: true}, a: {valueFrom: $(inputs.file.contents.trim())}, b: word}
    out: [o]
    run: *concatenate
  names:
    in:
      names:
        source: folder
        loadListing: shallow_listing
        valueFrom: '$(self.listing.map(function (each) { return each.basename }).sort())'
    out: [o]
    run: {class: ExpressionTool, inputs: {names: 'string[]'}, outputs: {o: 'string[]'}, expression: '$({o: inputs.names})'}
  make:
    in: {word: word}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs: {word: {type: string, inputBinding: {valueFrom: $(twice(self))}}}
      outputs: {o: stdout}
      stdout: $(inputs.word).txt
  of_task:
    run: join.cwl
    in:
      file: {source: make/o, loadContents: true}
      a: {valueFrom: $(inputs.file.contents.trim())}
      b: {source: make/o, valueFrom: $(self.basename + self.size)}
    out: [o]
