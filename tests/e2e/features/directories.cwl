# Folders and literals in and out, LoadListing, cwl.output.json, globs.
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs: {folder: Directory, shallow: Directory}
outputs:
  copied: {type: Directory, outputSource: copy/copied}
  files: {type: 'File[]', outputSource: copy/files}
  told: {type: Any, outputSource: tell/told}
  told_file: {type: File, outputSource: tell/file}
  literal_made: {type: Directory, outputSource: literal/o}
  text: {type: File, outputSource: literal/text}
  names: {type: 'string[]', outputSource: list/o}
  used: {type: File, outputSource: use/o}
steps:
  copy:
    in: {folder: folder}
    out: [copied, files]
    run:
      class: CommandLineTool
      requirements: {LoadListingRequirement: {loadListing: deep_listing}, InlineJavascriptRequirement: {}}
      baseCommand: [sh, -c, 'cp -rL $0 new; chmod -R u+w new; for i in $1; do echo $i > $i.txt; done; mkdir new/empty']
      arguments: [$(inputs.folder.path), "$(inputs.folder.listing.map(function(e) {return e.basename.split('.')[0]}).sort().join(' '))"]
      inputs: {folder: Directory}
      outputs:
        copied: {type: Directory, outputBinding: {glob: new}}
        files: {type: 'File[]', outputBinding: {glob: [inner.*, a.txt, 'no*']}}
  tell:
    in: {folder: shallow}
    out: [told, file]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo x > f.txt; cp told.json cwl.output.json']
      requirements:
        InitialWorkDirRequirement:
          listing:
            - entryname: told.json
              entry: '{"told": {"n": 1.5, "l": [null, true]}, "file": {"class": "File", "path": "f.txt"}}'
      inputs: {folder: {type: Directory, loadListing: shallow_listing}}
      outputs: {told: Any, file: File}
  literal:
    in: {file: tell/file}
    out: [o, text]
    run:
      class: ExpressionTool
      inputs: {file: File}
      outputs: {o: Directory, text: File}
      expression: |
        ${ var text = {class: "File", basename: "text.txt", contents: "text"};
           return {text: text, o: {class: "Directory", basename: "made",
             listing: [inputs.file, {class: "Directory", basename: "inner", listing: [text]}]}}; }
  list:
    in: {folder: copy/copied}
    out: [o]
    run:
      class: ExpressionTool
      inputs: {folder: {type: Directory, loadListing: shallow_listing}}
      outputs: {o: 'string[]'}
      expression: '$({o: inputs.folder.listing.map(function(e) {return e.basename}).sort()})'
  use:
    in: {folder: literal/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cd $0 && find -L * -type f | sort | xargs cat']
      inputs: {folder: {type: Directory, inputBinding: {}}}
      outputs: {o: stdout}
      stdout: used.txt
