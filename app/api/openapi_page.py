"""The page at `/openapi`: plain HTML, style and script, all inline, for it must work without a network."""

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h2{margin-top:2rem;border-bottom:1px solid #d0d7de}
details{border:1px solid #d0d7de;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}
summary{cursor:pointer}
code,pre,textarea,input{font:13px/1.4 ui-monospace,monospace}
.verb{display:inline-block;width:4.5rem;font-weight:bold}
textarea{width:100%;min-height:7rem;box-sizing:border-box}
input{width:22rem;max-width:100%}
label{display:block;margin:.4rem 0}
pre{background:#f6f8fa;padding:.6rem;overflow:auto;max-height:24rem}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}pre{background:#161b22}
details,h2{border-color:#30363d}}
"""

SCRIPT = """
const doc=JSON.parse(document.getElementById("document").textContent);
const base=location.pathname.replace(/\\/openapi\\/?$/,"");
const make=(tag,text,parent)=>{const node=document.createElement(tag);if(text)node.textContent=text;
if(parent)parent.append(node);return node};
const resolve=s=>{while(s&&s.$ref)s=doc.components.schemas[s.$ref.split("/").pop()];return s||{}};
const sample=(s,depth=0)=>{s=resolve(s);if(s.oneOf||s.anyOf)return sample((s.oneOf||s.anyOf)[0],depth);
if(s.examples)return s.examples[0];
if(s.enum)return s.enum[0];const type=[].concat(s.type||"object")[0];
if(type==="array")return depth>3?[]:[sample(s.items,depth+1)];
if(type==="integer"||type==="number")return 0;if(type==="boolean")return false;if(type==="string")return "";
const out={};for(const name of s.required||[])out[name]=sample((s.properties||{})[name],depth+1);return out};
document.title=doc.info.title;
make("h1",doc.info.title,document.body);make("p",doc.info.description,document.body);
const tokenLabel=make("label","Token ",document.body);const token=make("input","",tokenLabel);
token.type="password";token.autocomplete="off";token.id="token";
const groups={};
for(const [path,item] of Object.entries(doc.paths))for(const [verb,op] of Object.entries(item))
if(op.responses)(groups[(op.tags||["Other"])[0]]??=[]).push([path,verb,op]);
for(const [group,operations] of Object.entries(groups)){make("h2",group,document.body);
for(const [path,verb,op] of operations){
const box=make("details","",document.body);const head=make("summary","",box);
make("span",verb.toUpperCase(),head).className="verb";make("code",path,head);make("span"," "+(op.summary||""),head);
if(op.description)make("p",op.description,box);
const fields=[];for(const p of op.parameters||[]){const label=make("label",p.name+(p.required?" * ":" "),box);
const input=make("input","",label);input.placeholder=p.description||"";fields.push([p,input])}
let body=null;const content=op.requestBody&&op.requestBody.content["application/json"];
if(content){body=make("textarea","",box);body.setAttribute("aria-label","JSON body");
body.value=JSON.stringify(sample(content.schema),null,2)}
const send=make("button","Send",box);const answer=make("pre","",box);answer.hidden=true;
send.addEventListener("click",async()=>{let url=path;const query=new URLSearchParams();const headers={};
for(const [p,input] of fields){if(!input.value)continue;
if(p.in==="path")url=url.replace("{"+p.name+"}",encodeURIComponent(input.value));
else if(p.in==="query")query.set(p.name,input.value);else headers[p.name]=input.value}
if(token.value)headers["Authorization"]="Bearer "+token.value;
if(body)headers["Content-Type"]="application/json";
answer.hidden=false;
try{const reply=await fetch(base+url+(query.size?"?"+query:""),
{method:verb.toUpperCase(),headers,body:body?body.value:undefined});
let text=await reply.text();try{text=JSON.stringify(JSON.parse(text),null,2)}catch{}
answer.textContent=reply.status+" "+reply.statusText+"\\n\\n"+text}
catch(error){answer.textContent="The service did not answer."}})}}
"""

PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Keycairn</title>'
    "<style>{{style}}</style></head><body>"
    '<script type="application/json" id="document">{{document}}</script>'
    "<script>{{script}}</script></body></html>"
)
