var Ue=Object.defineProperty;var He=Object.getOwnPropertyDescriptor;var g=(n,s,t,e)=>{for(var i=e>1?void 0:e?He(s,t):s,r=n.length-1,o;r>=0;r--)(o=n[r])&&(i=(e?o(s,t,i):o(i))||i);return e&&i&&Ue(s,t,i),i};var ct=globalThis,ut=ct.ShadowRoot&&(ct.ShadyCSS===void 0||ct.ShadyCSS.nativeShadow)&&"adoptedStyleSheets"in Document.prototype&&"replace"in CSSStyleSheet.prototype,Tt=Symbol(),Ft=new WeakMap,X=class{constructor(s,t,e){if(this._$cssResult$=!0,e!==Tt)throw Error("CSSResult is not constructable. Use `unsafeCSS` or `css` instead.");this.cssText=s,this.t=t}get styleSheet(){let s=this.o,t=this.t;if(ut&&s===void 0){let e=t!==void 0&&t.length===1;e&&(s=Ft.get(t)),s===void 0&&((this.o=s=new CSSStyleSheet).replaceSync(this.cssText),e&&Ft.set(t,s))}return s}toString(){return this.cssText}},Vt=n=>new X(typeof n=="string"?n:n+"",void 0,Tt),A=(n,...s)=>{let t=n.length===1?n[0]:s.reduce((e,i,r)=>e+(o=>{if(o._$cssResult$===!0)return o.cssText;if(typeof o=="number")return o;throw Error("Value passed to 'css' function must be a 'css' function result: "+o+". Use 'unsafeCSS' to pass non-literal values, but take care to ensure page security.")})(i)+n[r+1],n[0]);return new X(t,n,Tt)},Gt=(n,s)=>{if(ut)n.adoptedStyleSheets=s.map(t=>t instanceof CSSStyleSheet?t:t.styleSheet);else for(let t of s){let e=document.createElement("style"),i=ct.litNonce;i!==void 0&&e.setAttribute("nonce",i),e.textContent=t.cssText,n.appendChild(e)}},Rt=ut?n=>n:n=>n instanceof CSSStyleSheet?(s=>{let t="";for(let e of s.cssRules)t+=e.cssText;return Vt(t)})(n):n;var{is:Ne,defineProperty:Le,getOwnPropertyDescriptor:je,getOwnPropertyNames:ze,getOwnPropertySymbols:qe,getPrototypeOf:Be}=Object,pt=globalThis,Jt=pt.trustedTypes,Fe=Jt?Jt.emptyScript:"",Ve=pt.reactiveElementPolyfillSupport,Z=(n,s)=>n,Q={toAttribute(n,s){switch(s){case Boolean:n=n?Fe:null;break;case Object:case Array:n=n==null?n:JSON.stringify(n)}return n},fromAttribute(n,s){let t=n;switch(s){case Boolean:t=n!==null;break;case Number:t=n===null?null:Number(n);break;case Object:case Array:try{t=JSON.parse(n)}catch{t=null}}return t}},mt=(n,s)=>!Ne(n,s),Yt={attribute:!0,type:String,converter:Q,reflect:!1,useDefault:!1,hasChanged:mt};Symbol.metadata??=Symbol("metadata"),pt.litPropertyMetadata??=new WeakMap;var P=class extends HTMLElement{static addInitializer(s){this._$Ei(),(this.l??=[]).push(s)}static get observedAttributes(){return this.finalize(),this._$Eh&&[...this._$Eh.keys()]}static createProperty(s,t=Yt){if(t.state&&(t.attribute=!1),this._$Ei(),this.prototype.hasOwnProperty(s)&&((t=Object.create(t)).wrapped=!0),this.elementProperties.set(s,t),!t.noAccessor){let e=Symbol(),i=this.getPropertyDescriptor(s,e,t);i!==void 0&&Le(this.prototype,s,i)}}static getPropertyDescriptor(s,t,e){let{get:i,set:r}=je(this.prototype,s)??{get(){return this[t]},set(o){this[t]=o}};return{get:i,set(o){let a=i?.call(this);r?.call(this,o),this.requestUpdate(s,a,e)},configurable:!0,enumerable:!0}}static getPropertyOptions(s){return this.elementProperties.get(s)??Yt}static _$Ei(){if(this.hasOwnProperty(Z("elementProperties")))return;let s=Be(this);s.finalize(),s.l!==void 0&&(this.l=[...s.l]),this.elementProperties=new Map(s.elementProperties)}static finalize(){if(this.hasOwnProperty(Z("finalized")))return;if(this.finalized=!0,this._$Ei(),this.hasOwnProperty(Z("properties"))){let t=this.properties,e=[...ze(t),...qe(t)];for(let i of e)this.createProperty(i,t[i])}let s=this[Symbol.metadata];if(s!==null){let t=litPropertyMetadata.get(s);if(t!==void 0)for(let[e,i]of t)this.elementProperties.set(e,i)}this._$Eh=new Map;for(let[t,e]of this.elementProperties){let i=this._$Eu(t,e);i!==void 0&&this._$Eh.set(i,t)}this.elementStyles=this.finalizeStyles(this.styles)}static finalizeStyles(s){let t=[];if(Array.isArray(s)){let e=new Set(s.flat(1/0).reverse());for(let i of e)t.unshift(Rt(i))}else s!==void 0&&t.push(Rt(s));return t}static _$Eu(s,t){let e=t.attribute;return e===!1?void 0:typeof e=="string"?e:typeof s=="string"?s.toLowerCase():void 0}constructor(){super(),this._$Ep=void 0,this.isUpdatePending=!1,this.hasUpdated=!1,this._$Em=null,this._$Ev()}_$Ev(){this._$ES=new Promise(s=>this.enableUpdating=s),this._$AL=new Map,this._$E_(),this.requestUpdate(),this.constructor.l?.forEach(s=>s(this))}addController(s){(this._$EO??=new Set).add(s),this.renderRoot!==void 0&&this.isConnected&&s.hostConnected?.()}removeController(s){this._$EO?.delete(s)}_$E_(){let s=new Map,t=this.constructor.elementProperties;for(let e of t.keys())this.hasOwnProperty(e)&&(s.set(e,this[e]),delete this[e]);s.size>0&&(this._$Ep=s)}createRenderRoot(){let s=this.shadowRoot??this.attachShadow(this.constructor.shadowRootOptions);return Gt(s,this.constructor.elementStyles),s}connectedCallback(){this.renderRoot??=this.createRenderRoot(),this.enableUpdating(!0),this._$EO?.forEach(s=>s.hostConnected?.())}enableUpdating(s){}disconnectedCallback(){this._$EO?.forEach(s=>s.hostDisconnected?.())}attributeChangedCallback(s,t,e){this._$AK(s,e)}_$ET(s,t){let e=this.constructor.elementProperties.get(s),i=this.constructor._$Eu(s,e);if(i!==void 0&&e.reflect===!0){let r=(e.converter?.toAttribute!==void 0?e.converter:Q).toAttribute(t,e.type);this._$Em=s,r==null?this.removeAttribute(i):this.setAttribute(i,r),this._$Em=null}}_$AK(s,t){let e=this.constructor,i=e._$Eh.get(s);if(i!==void 0&&this._$Em!==i){let r=e.getPropertyOptions(i),o=typeof r.converter=="function"?{fromAttribute:r.converter}:r.converter?.fromAttribute!==void 0?r.converter:Q;this._$Em=i;let a=o.fromAttribute(t,r.type);this[i]=a??this._$Ej?.get(i)??a,this._$Em=null}}requestUpdate(s,t,e,i=!1,r){if(s!==void 0){let o=this.constructor;if(i===!1&&(r=this[s]),e??=o.getPropertyOptions(s),!((e.hasChanged??mt)(r,t)||e.useDefault&&e.reflect&&r===this._$Ej?.get(s)&&!this.hasAttribute(o._$Eu(s,e))))return;this.C(s,t,e)}this.isUpdatePending===!1&&(this._$ES=this._$EP())}C(s,t,{useDefault:e,reflect:i,wrapped:r},o){e&&!(this._$Ej??=new Map).has(s)&&(this._$Ej.set(s,o??t??this[s]),r!==!0||o!==void 0)||(this._$AL.has(s)||(this.hasUpdated||e||(t=void 0),this._$AL.set(s,t)),i===!0&&this._$Em!==s&&(this._$Eq??=new Set).add(s))}async _$EP(){this.isUpdatePending=!0;try{await this._$ES}catch(t){Promise.reject(t)}let s=this.scheduleUpdate();return s!=null&&await s,!this.isUpdatePending}scheduleUpdate(){return this.performUpdate()}performUpdate(){if(!this.isUpdatePending)return;if(!this.hasUpdated){if(this.renderRoot??=this.createRenderRoot(),this._$Ep){for(let[i,r]of this._$Ep)this[i]=r;this._$Ep=void 0}let e=this.constructor.elementProperties;if(e.size>0)for(let[i,r]of e){let{wrapped:o}=r,a=this[i];o!==!0||this._$AL.has(i)||a===void 0||this.C(i,void 0,r,a)}}let s=!1,t=this._$AL;try{s=this.shouldUpdate(t),s?(this.willUpdate(t),this._$EO?.forEach(e=>e.hostUpdate?.()),this.update(t)):this._$EM()}catch(e){throw s=!1,this._$EM(),e}s&&this._$AE(t)}willUpdate(s){}_$AE(s){this._$EO?.forEach(t=>t.hostUpdated?.()),this.hasUpdated||(this.hasUpdated=!0,this.firstUpdated(s)),this.updated(s)}_$EM(){this._$AL=new Map,this.isUpdatePending=!1}get updateComplete(){return this.getUpdateComplete()}getUpdateComplete(){return this._$ES}shouldUpdate(s){return!0}update(s){this._$Eq&&=this._$Eq.forEach(t=>this._$ET(t,this[t])),this._$EM()}updated(s){}firstUpdated(s){}};P.elementStyles=[],P.shadowRootOptions={mode:"open"},P[Z("elementProperties")]=new Map,P[Z("finalized")]=new Map,Ve?.({ReactiveElement:P}),(pt.reactiveElementVersions??=[]).push("2.1.2");var Ct=globalThis,Kt=n=>n,gt=Ct.trustedTypes,Xt=gt?gt.createPolicy("lit-html",{createHTML:n=>n}):void 0,Wt="$lit$",T=`lit$${Math.random().toFixed(9).slice(2)}$`,Ot="?"+T,Ge=`<${Ot}>`,U=document,et=()=>U.createComment(""),st=n=>n===null||typeof n!="object"&&typeof n!="function",Dt=Array.isArray,ie=n=>Dt(n)||typeof n?.[Symbol.iterator]=="function",Mt=`[ 	
\f\r]`,tt=/<(?:(!--|\/[^a-zA-Z])|(\/?[a-zA-Z][^>\s]*)|(\/?$))/g,Zt=/-->/g,Qt=/>/g,D=RegExp(`>|${Mt}(?:([^\\s"'>=/]+)(${Mt}*=${Mt}*(?:[^ 	
\f\r"'\`<>=]|("|')|))|$)`,"g"),te=/'/g,ee=/"/g,ne=/^(?:script|style|textarea|title)$/i,It=n=>(s,...t)=>({_$litType$:n,strings:s,values:t}),h=It(1),C=It(2),As=It(3),k=Symbol.for("lit-noChange"),p=Symbol.for("lit-nothing"),se=new WeakMap,I=U.createTreeWalker(U,129);function re(n,s){if(!Dt(n)||!n.hasOwnProperty("raw"))throw Error("invalid template strings array");return Xt!==void 0?Xt.createHTML(s):s}var oe=(n,s)=>{let t=n.length-1,e=[],i,r=s===2?"<svg>":s===3?"<math>":"",o=tt;for(let a=0;a<t;a++){let l=n[a],d,u,c=-1,y=0;for(;y<l.length&&(o.lastIndex=y,u=o.exec(l),u!==null);)y=o.lastIndex,o===tt?u[1]==="!--"?o=Zt:u[1]!==void 0?o=Qt:u[2]!==void 0?(ne.test(u[2])&&(i=RegExp("</"+u[2],"g")),o=D):u[3]!==void 0&&(o=D):o===D?u[0]===">"?(o=i??tt,c=-1):u[1]===void 0?c=-2:(c=o.lastIndex-u[2].length,d=u[1],o=u[3]===void 0?D:u[3]==='"'?ee:te):o===ee||o===te?o=D:o===Zt||o===Qt?o=tt:(o=D,i=void 0);let _=o===D&&n[a+1].startsWith("/>")?" ":"";r+=o===tt?l+Ge:c>=0?(e.push(d),l.slice(0,c)+Wt+l.slice(c)+T+_):l+T+(c===-2?a:_)}return[re(n,r+(n[t]||"<?>")+(s===2?"</svg>":s===3?"</math>":"")),e]},it=class n{constructor({strings:s,_$litType$:t},e){let i;this.parts=[];let r=0,o=0,a=s.length-1,l=this.parts,[d,u]=oe(s,t);if(this.el=n.createElement(d,e),I.currentNode=this.el.content,t===2||t===3){let c=this.el.content.firstChild;c.replaceWith(...c.childNodes)}for(;(i=I.nextNode())!==null&&l.length<a;){if(i.nodeType===1){if(i.hasAttributes())for(let c of i.getAttributeNames())if(c.endsWith(Wt)){let y=u[o++],_=i.getAttribute(c).split(T),w=/([.?@])?(.*)/.exec(y);l.push({type:1,index:r,name:w[2],strings:_,ctor:w[1]==="."?vt:w[1]==="?"?yt:w[1]==="@"?_t:N}),i.removeAttribute(c)}else c.startsWith(T)&&(l.push({type:6,index:r}),i.removeAttribute(c));if(ne.test(i.tagName)){let c=i.textContent.split(T),y=c.length-1;if(y>0){i.textContent=gt?gt.emptyScript:"";for(let _=0;_<y;_++)i.append(c[_],et()),I.nextNode(),l.push({type:2,index:++r});i.append(c[y],et())}}}else if(i.nodeType===8)if(i.data===Ot)l.push({type:2,index:r});else{let c=-1;for(;(c=i.data.indexOf(T,c+1))!==-1;)l.push({type:7,index:r}),c+=T.length-1}r++}}static createElement(s,t){let e=U.createElement("template");return e.innerHTML=s,e}};function H(n,s,t=n,e){if(s===k)return s;let i=e!==void 0?t._$Co?.[e]:t._$Cl,r=st(s)?void 0:s._$litDirective$;return i?.constructor!==r&&(i?._$AO?.(!1),r===void 0?i=void 0:(i=new r(n),i._$AT(n,t,e)),e!==void 0?(t._$Co??=[])[e]=i:t._$Cl=i),i!==void 0&&(s=H(n,i._$AS(n,s.values),i,e)),s}var ft=class{constructor(s,t){this._$AV=[],this._$AN=void 0,this._$AD=s,this._$AM=t}get parentNode(){return this._$AM.parentNode}get _$AU(){return this._$AM._$AU}u(s){let{el:{content:t},parts:e}=this._$AD,i=(s?.creationScope??U).importNode(t,!0);I.currentNode=i;let r=I.nextNode(),o=0,a=0,l=e[0];for(;l!==void 0;){if(o===l.index){let d;l.type===2?d=new G(r,r.nextSibling,this,s):l.type===1?d=new l.ctor(r,l.name,l.strings,this,s):l.type===6&&(d=new wt(r,this,s)),this._$AV.push(d),l=e[++a]}o!==l?.index&&(r=I.nextNode(),o++)}return I.currentNode=U,i}p(s){let t=0;for(let e of this._$AV)e!==void 0&&(e.strings!==void 0?(e._$AI(s,e,t),t+=e.strings.length-2):e._$AI(s[t])),t++}},G=class n{get _$AU(){return this._$AM?._$AU??this._$Cv}constructor(s,t,e,i){this.type=2,this._$AH=p,this._$AN=void 0,this._$AA=s,this._$AB=t,this._$AM=e,this.options=i,this._$Cv=i?.isConnected??!0}get parentNode(){let s=this._$AA.parentNode,t=this._$AM;return t!==void 0&&s?.nodeType===11&&(s=t.parentNode),s}get startNode(){return this._$AA}get endNode(){return this._$AB}_$AI(s,t=this){s=H(this,s,t),st(s)?s===p||s==null||s===""?(this._$AH!==p&&this._$AR(),this._$AH=p):s!==this._$AH&&s!==k&&this._(s):s._$litType$!==void 0?this.$(s):s.nodeType!==void 0?this.T(s):ie(s)?this.k(s):this._(s)}O(s){return this._$AA.parentNode.insertBefore(s,this._$AB)}T(s){this._$AH!==s&&(this._$AR(),this._$AH=this.O(s))}_(s){this._$AH!==p&&st(this._$AH)?this._$AA.nextSibling.data=s:this.T(U.createTextNode(s)),this._$AH=s}$(s){let{values:t,_$litType$:e}=s,i=typeof e=="number"?this._$AC(s):(e.el===void 0&&(e.el=it.createElement(re(e.h,e.h[0]),this.options)),e);if(this._$AH?._$AD===i)this._$AH.p(t);else{let r=new ft(i,this),o=r.u(this.options);r.p(t),this.T(o),this._$AH=r}}_$AC(s){let t=se.get(s.strings);return t===void 0&&se.set(s.strings,t=new it(s)),t}k(s){Dt(this._$AH)||(this._$AH=[],this._$AR());let t=this._$AH,e,i=0;for(let r of s)i===t.length?t.push(e=new n(this.O(et()),this.O(et()),this,this.options)):e=t[i],e._$AI(r),i++;i<t.length&&(this._$AR(e&&e._$AB.nextSibling,i),t.length=i)}_$AR(s=this._$AA.nextSibling,t){for(this._$AP?.(!1,!0,t);s!==this._$AB;){let e=Kt(s).nextSibling;Kt(s).remove(),s=e}}setConnected(s){this._$AM===void 0&&(this._$Cv=s,this._$AP?.(s))}},N=class{get tagName(){return this.element.tagName}get _$AU(){return this._$AM._$AU}constructor(s,t,e,i,r){this.type=1,this._$AH=p,this._$AN=void 0,this.element=s,this.name=t,this._$AM=i,this.options=r,e.length>2||e[0]!==""||e[1]!==""?(this._$AH=Array(e.length-1).fill(new String),this.strings=e):this._$AH=p}_$AI(s,t=this,e,i){let r=this.strings,o=!1;if(r===void 0)s=H(this,s,t,0),o=!st(s)||s!==this._$AH&&s!==k,o&&(this._$AH=s);else{let a=s,l,d;for(s=r[0],l=0;l<r.length-1;l++)d=H(this,a[e+l],t,l),d===k&&(d=this._$AH[l]),o||=!st(d)||d!==this._$AH[l],d===p?s=p:s!==p&&(s+=(d??"")+r[l+1]),this._$AH[l]=d}o&&!i&&this.j(s)}j(s){s===p?this.element.removeAttribute(this.name):this.element.setAttribute(this.name,s??"")}},vt=class extends N{constructor(){super(...arguments),this.type=3}j(s){this.element[this.name]=s===p?void 0:s}},yt=class extends N{constructor(){super(...arguments),this.type=4}j(s){this.element.toggleAttribute(this.name,!!s&&s!==p)}},_t=class extends N{constructor(s,t,e,i,r){super(s,t,e,i,r),this.type=5}_$AI(s,t=this){if((s=H(this,s,t,0)??p)===k)return;let e=this._$AH,i=s===p&&e!==p||s.capture!==e.capture||s.once!==e.once||s.passive!==e.passive,r=s!==p&&(e===p||i);i&&this.element.removeEventListener(this.name,this,e),r&&this.element.addEventListener(this.name,this,s),this._$AH=s}handleEvent(s){typeof this._$AH=="function"?this._$AH.call(this.options?.host??this.element,s):this._$AH.handleEvent(s)}},wt=class{constructor(s,t,e){this.element=s,this.type=6,this._$AN=void 0,this._$AM=t,this.options=e}get _$AU(){return this._$AM._$AU}_$AI(s){H(this,s)}},ae={M:Wt,P:T,A:Ot,C:1,L:oe,R:ft,D:ie,V:H,I:G,H:N,N:yt,U:_t,B:vt,F:wt},Je=Ct.litHtmlPolyfillSupport;Je?.(it,G),(Ct.litHtmlVersions??=[]).push("3.3.3");var le=(n,s,t)=>{let e=t?.renderBefore??s,i=e._$litPart$;if(i===void 0){let r=t?.renderBefore??null;e._$litPart$=i=new G(s.insertBefore(et(),r),r,void 0,t??{})}return i._$AI(n),i};var Ut=globalThis,W=class extends P{constructor(){super(...arguments),this.renderOptions={host:this},this._$Do=void 0}createRenderRoot(){let s=super.createRenderRoot();return this.renderOptions.renderBefore??=s.firstChild,s}update(s){let t=this.render();this.hasUpdated||(this.renderOptions.isConnected=this.isConnected),super.update(s),this._$Do=le(t,this.renderRoot,this.renderOptions)}connectedCallback(){super.connectedCallback(),this._$Do?.setConnected(!0)}disconnectedCallback(){super.disconnectedCallback(),this._$Do?.setConnected(!1)}render(){return k}};W._$litElement$=!0,W.finalized=!0,Ut.litElementHydrateSupport?.({LitElement:W});var Ye=Ut.litElementPolyfillSupport;Ye?.({LitElement:W});(Ut.litElementVersions??=[]).push("4.2.2");var Ke={attribute:!0,type:String,converter:Q,reflect:!1,hasChanged:mt},Xe=(n=Ke,s,t)=>{let{kind:e,metadata:i}=t,r=globalThis.litPropertyMetadata.get(i);if(r===void 0&&globalThis.litPropertyMetadata.set(i,r=new Map),e==="setter"&&((n=Object.create(n)).wrapped=!0),r.set(t.name,n),e==="accessor"){let{name:o}=t;return{set(a){let l=s.get.call(this);s.set.call(this,a),this.requestUpdate(o,l,n,!0,a)},init(a){return a!==void 0&&this.C(o,void 0,n,a),a}}}if(e==="setter"){let{name:o}=t;return function(a){let l=this[o];s.call(this,a),this.requestUpdate(o,l,n,!0,a)}}throw Error("Unsupported decorator location: "+e)};function $t(n){return(s,t)=>typeof t=="object"?Xe(n,s,t):((e,i,r)=>{let o=i.hasOwnProperty(r);return i.constructor.createProperty(r,e),o?Object.getOwnPropertyDescriptor(i,r):void 0})(n,s,t)}function v(n){return $t({...n,state:!0,attribute:!1})}var L=(n,s,t)=>(t.configurable=!0,t.enumerable=!0,Reflect.decorate&&typeof s!="object"&&Object.defineProperty(n,s,t),t);function j(n,s){return(t,e,i)=>{let r=o=>o.renderRoot?.querySelector(n)??null;if(s){let{get:o,set:a}=typeof e=="object"?t:i??(()=>{let l=Symbol();return{get(){return this[l]},set(d){this[l]=d}}})();return L(t,e,{get(){let l=o.call(this);return l===void 0&&(l=r(this),(l!==null||this.hasUpdated)&&a.call(this,l)),l}})}return L(t,e,{get(){return r(this)}})}}function he(n){if(n.available)return{...n,units:n.units.map(t=>t.alive?t:de(t))};let s=n.units.map(t=>({...de(t),is_grid_master:!1,is_voltage_reference:!1}));return{...n,units:s,deals:[]}}function de(n){return{...n,alive:!1,converter_mode:null,grid_voltage_v:null,grid_current_a:null,grid_power_w:null,solar_w:null,load_w:null,wish:null}}var Ht=class{constructor(s,t){this.hass=s;this.entryId=t;this.listeners=new Set;this.attempt=0;this.end=null;this.last=null;this.things=null;this.known="";this.timer=0;s.connection.addEventListener?.("ready",()=>this.again())}listen(s){return this.listeners.add(s),this.end===null?this.open():this.last!==null&&s(this.last),()=>{this.listeners.delete(s),this.listeners.size===0&&this.close()}}async all(){let s=(this.last?.units??[]).map(t=>t.unit_id).join();if(this.things===null||s!==this.known){this.known=s;let t=this.hass.callWS({type:"apis/entities",entry_id:this.entryId});this.things=t;let e=()=>{this.things===t&&(this.things=null)};t.then(i=>Object.values(i.units).some(r=>r.entities.unit_mode===void 0)&&setTimeout(e,3e3),e)}return this.things}units(){return this.last?.units??[]}open(){let s=++this.attempt,t=e=>{s===this.attempt&&(e.kind==="snapshot"&&this.tell(e.snapshot),e.kind==="gone"&&this.lost())};this.end=this.hass.connection.subscribeMessage(t,{type:"apis/subscribe",entry_id:this.entryId},{resubscribe:!1}),this.end.catch(()=>s===this.attempt&&this.lost())}lost(){this.end=null,this.things=null,this.tell(null),clearTimeout(this.timer),this.timer=window.setTimeout(()=>this.again(),3e3)}again(){clearTimeout(this.timer),this.end=null,this.things=null,this.listeners.size>0&&this.open()}tell(s){this.last=s;for(let t of this.listeners)t(s)}close(){let s=this.end;this.attempt+=1,clearTimeout(this.timer),this.end=null,this.last=null,s?.then(t=>t()).catch(()=>{})}},Nt=new Map;function ue(){return[...Nt.values()].flatMap(n=>n.units().map(s=>({value:s.unit_id,label:s.name})))}function bt(n,s){let t=Nt.get(s);return t===void 0&&(t=new Ht(n,s),Nt.set(s,t)),t}var Ze=1e4,nt=null,ce=0;function rt(n,s=!1){return(nt===null||s||Date.now()-ce>Ze)&&(ce=Date.now(),nt=n.callWS({type:"apis/communities"}),nt.catch(()=>nt=null)),nt}function ot(n,s){return s!==void 0?n.find(t=>t.entry_id===s):n.find(t=>t.loaded)??n[0]}var E=A`
  :host {
    --apis-charge: var(--success-color, #2e7d32);
    --apis-give: var(--warning-color, #b26a00);
    --apis-line: var(--primary-color, #0277bd);
    --apis-edge: var(--divider-color, #d0d0d0);
    display: block;
    color: var(--primary-text-color);
  }
  ha-card {
    padding: 16px;
    height: 100%;
    box-sizing: border-box;
  }
  h2 {
    margin: 0;
    font-size: 1.25rem;
    font-weight: 500;
    line-height: 1.3;
  }
  h3 {
    margin: 14px 0 6px;
    font-size: 0.95rem;
    font-weight: 500;
  }
  .head {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    justify-content: space-between;
    gap: 4px 12px;
  }
  .soft {
    color: var(--secondary-text-color);
  }
  .note {
    margin: 8px 0 0;
  }
  .bad {
    color: var(--error-color);
  }
  button,
  select,
  input,
  textarea {
    font: inherit;
    color: var(--primary-text-color);
    background: var(--card-background-color, #fff);
    border: 1px solid var(--apis-edge);
    border-radius: 8px;
    min-height: 40px;
    padding: 4px 10px;
    box-sizing: border-box;
    max-width: 100%;
  }
  button {
    cursor: pointer;
  }
  button.main {
    background: var(--primary-text-color);
    border-color: var(--primary-text-color);
    color: var(--card-background-color, #fff);
  }
  button:disabled {
    opacity: 0.5;
    cursor: default;
  }
  button.plain {
    border: 0;
    background: none;
  }
  :focus-visible {
    outline: 2px solid var(--apis-line);
    outline-offset: 2px;
  }
  label {
    display: flex;
    flex-direction: column;
    gap: 2px;
    font-size: 0.85rem;
    color: var(--secondary-text-color);
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    gap: 8px;
    align-items: end;
  }
  .bar {
    height: 8px;
    border-radius: 4px;
    background: var(--apis-edge);
    overflow: hidden;
  }
  .bar > div {
    height: 100%;
    background: var(--apis-charge);
  }
  dialog {
    border: 0;
    border-radius: 16px;
    padding: 20px;
    width: min(92vw, 440px);
    box-sizing: border-box;
    color: var(--primary-text-color);
    background: var(--card-background-color, #fff);
  }
  dialog::backdrop {
    background: rgba(0, 0, 0, 0.5);
  }
  .visually-hidden {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
`;var pe={community:"Community",unit:"House",deals:"Deals",scenario:"Scenario",grid_master:"Grid Master",voltage_reference:"holds the line's voltage",solar:"Sun",load:"Load",battery:"Battery",line:"Line",charge:"charges",discharge:"gives",wait:"waits",voltage_reference_mode:"holds the line",away:"does not answer",below_target:"below its target",asks:"asks for {wh} Wh",offers:"offers {wh} Wh",shares_now:"{from} gives {watts} W to {to}",nobody_shares:"Nobody shares now.",deals_running:"{count} deals are running",one_deal_runs:"1 deal is running",no_community:"There is no community to show. Add one under Settings > Devices & services > APIS.",not_available:"The community does not answer now.",gone:"The chosen community is not there any more.",stopped:"Stopped in an emergency: {reason}",accelerated:"time × {factor}",arrange:"Arrange houses",arrange_done:"Done",arrange_again:"Automatic",arrange_hint:"Drag a house, or move it with the arrow keys.",mode:"Mode",autonomous:"Autonomous",heteronomous:"Finish deals, start none",stop:"Stop",manual:"Manual",follow:"As the community",own_mode:"This house",preset:"Scenario",balanced:"Balanced",reserve:"Reserve",generous:"Generous",self_use:"Self-use",storm:"Storm",custom:"Its own",today:"Today",running:"Running deals",none_running:"No deal is running.",left:"{minutes} min left",received:"received",shared:"shared",by_hand:"Control by hand",by_hand_only:"Set the community's mode to Manual to control converters by hand.",by_hand_warning:"Real current flows. Hold the line's voltage with one converter before you let another one charge or give.",action:"What it does",current:"Current",voltage:"Line voltage",minutes:"For how long",send:"Send",close:"Close",cancel:"Cancel",from:"From",to:"To",all_houses:"All houses",all_states:"All states",state:"State",created:"Created",started:"Started",completed:"Completed",aborted:"Ended early",giver:"Gives",taker:"Receives",energy:"Energy",price:"Points",time:"Time",no_deals:"No deals in this time.",more_deals:"{count} older ones are not shown; CSV and JSON have them.",stop_deal:"Stop this deal",stop_deal_sure:"Press again to stop it",start_time:"Started",ended:"Ended",reason:"Reason",agreed:"Agreed",exchanged:"Exchanged",csv:"CSV",json:"JSON",save:"Save",undo:"Undo",saved:"Saved.",unsaved:"Not saved yet",changed_meanwhile:"Somebody changed this scenario meanwhile. Look at Versions; saving again replaces it.",import:"Read JSON",export:"Save JSON",apply:"Use it",versions:"Versions",restore:"Show",add_band:"Add a part of the day",remove_band:"Remove this part of the day",begins:"Begins",ends:"Ends",request_charge:"asks to charge",request_discharge:"asks to give",accept_charge:"accepts to charge",accept_discharge:"accepts to give",up_to:"{wish} up to {wh} Wh",down_to:"{wish} down to {wh} Wh",points_per_wh:"points per Wh",charge_wish:"to charge",discharge_wish:"to give",preview_now:"Now this house would: {what}",preview_asks_charge:"ask for {wh} Wh at {points} points",preview_asks_discharge:"offer {wh} Wh at {points} points",preview_accepts_charge:"accept to charge {wh} Wh at {points} points",preview_accepts_discharge:"accept to give {wh} Wh at {points} points",preview_nothing:"neither ask nor accept",any_price:"any number of",boundary:"Boundary of {status}",overview:"Overview",houses:"Houses",history:"History",commissioning:"Commissioning",choose_house:"House",not_known:"not known",stop_all:"Stop all",shared_today:"Shared today",self_sufficiency:"Self-sufficiency",title:"Title",draw_chart:"Show the day as a chart",day_plan:"Through the day: {what}"},Qe={community:"コミュニティ",unit:"家",deals:"取引",scenario:"シナリオ",grid_master:"グリッドマスター",voltage_reference:"線路の電圧を保持",solar:"太陽光",load:"消費",battery:"蓄電池",line:"線路",charge:"充電中",discharge:"送電中",wait:"待機中",voltage_reference_mode:"線路を保持",away:"応答がありません",below_target:"目標を下回っている",asks:"{wh} Wh を希望",offers:"{wh} Wh を提供",shares_now:"{from} から {to} へ {watts} W",nobody_shares:"今は融通していません。",deals_running:"{count} 件の取引が進行中",one_deal_runs:"1 件の取引が進行中",no_community:"表示するコミュニティがありません。「設定 > デバイスとサービス > APIS」で追加してください。",not_available:"コミュニティが応答しません。",gone:"選択されたコミュニティはもうありません。",stopped:"緊急停止中：{reason}",accelerated:"時間 × {factor}",arrange:"家を並べ替える",arrange_done:"完了",arrange_again:"自動配置",arrange_hint:"家をドラッグするか、矢印キーで動かします。",mode:"モード",autonomous:"自律",heteronomous:"新しい取引を始めない",stop:"停止",manual:"手動",follow:"コミュニティに従う",own_mode:"この家",preset:"シナリオ",balanced:"バランス",reserve:"備え重視",generous:"分け合い重視",self_use:"自家消費",storm:"嵐への備え",custom:"独自",today:"今日",running:"進行中の取引",none_running:"進行中の取引はありません。",left:"残り {minutes} 分",received:"受電",shared:"送電",by_hand:"手動で操作",by_hand_only:"コンバーターを手動で操作するには、コミュニティのモードを「手動」にしてください。",by_hand_warning:"実際に電流が流れます。ほかのコンバーターで充放電する前に、1台で線路の電圧を保持してください。",action:"動作",current:"電流",voltage:"線路電圧",minutes:"時間",send:"実行",close:"閉じる",cancel:"キャンセル",from:"開始",to:"終了",all_houses:"すべての家",all_states:"すべての状態",state:"状態",created:"成立",started:"進行中",completed:"完了",aborted:"途中終了",giver:"送る家",taker:"受ける家",energy:"電力量",price:"ポイント",time:"時刻",no_deals:"この期間の取引はありません。",more_deals:"古い {count} 件は表示されていません。CSV と JSON には含まれます。",stop_deal:"この取引を止める",stop_deal_sure:"もう一度押すと止まります",start_time:"開始時刻",ended:"終了",reason:"理由",agreed:"約束した量",exchanged:"融通した量",csv:"CSV",json:"JSON",save:"保存",undo:"元に戻す",saved:"保存しました。",unsaved:"未保存",changed_meanwhile:"このシナリオは別の人が変更しました。履歴を確認してください。もう一度保存すると置き換わります。",import:"JSON を読み込む",export:"JSON を保存",apply:"使う",versions:"履歴",restore:"表示",add_band:"時間帯を追加",remove_band:"この時間帯を削除",begins:"開始",ends:"終了",request_charge:"充電を求める",request_discharge:"送電を求める",accept_charge:"充電を受け入れる",accept_discharge:"送電を受け入れる",up_to:"{wish}（上限 {wh} Wh）",down_to:"{wish}（下限 {wh} Wh）",points_per_wh:"ポイント/Wh",charge_wish:"充電",discharge_wish:"送電",preview_now:"今この家は：{what}",preview_asks_charge:"{wh} Wh を {points} ポイントで求めます",preview_asks_discharge:"{wh} Wh を {points} ポイントで提供します",preview_accepts_charge:"{wh} Wh の充電を {points} ポイントで受け入れます",preview_accepts_discharge:"{wh} Wh の送電を {points} ポイントで受け入れます",preview_nothing:"求めも受け入れもしません",any_price:"任意の",boundary:"{status} の境界",overview:"概要",houses:"家",history:"履歴",commissioning:"試運転",choose_house:"家",not_known:"不明",stop_all:"すべて停止",shared_today:"今日の融通量",self_sufficiency:"今日の自給率",title:"タイトル",draw_chart:"一日をグラフで表示",day_plan:"一日の予定：{what}"};function z(n,s,t={}){return(n?.startsWith("ja")?Qe:pe)[s].replace(/\{(\w+)\}/g,(i,r)=>String(t[r]??i))}function me(n,s){return s!==null&&s in pe?z(n,s):s??""}var b=class extends W{constructor(){super(...arguments);this.config={type:""};this.snapshot=null;this.things=null;this.sought=!1;this.found=!1;this.entryId="";this.release=null;this.opening=!1}static{this.styles=[E]}setConfig(t){if(typeof t!="object")throw new Error("expected the card's options");this.config=t,this.let_go()}getCardSize(){return 6}connectedCallback(){super.connectedCallback(),this.open()}disconnectedCallback(){super.disconnectedCallback(),this.let_go()}shouldUpdate(t){let e=t.get("hass");return t.size>1||!t.has("hass")||e===void 0||e.language!==this.hass?.language||e.locale!==this.hass?.locale?!0:(this.passed(),this.open(),!1)}passed(){}updated(){this.passed(),this.open()}say(t,e={}){return z(this.hass?.language,t,e)}named(t){return me(this.hass?.language,t)}get isAdmin(){return this.snapshot?.isAdmin??!1}unit(t){return this.snapshot?.units.find(e=>e.unit_id===t)}nameOf(t){return this.unit(t)?.name??t}frame(t,e,i=p){let r=this.snapshot;return h`<ha-card>
      <div class="head">
        <h2>${this.config.title??t}</h2>
        ${r===null?p:i}
      </div>
      ${r===null?h`<p class="note soft">${this.sought?this.say(this.found?"not_available":this.config.entry_id===void 0&&this.entryId===""?"no_community":"gone"):"…"}</p>`:h`${r.available?p:h`<p class="note bad" role="status">${this.say("not_available")}</p>`}
            ${r.alert===null?p:h`<p class="note bad" role="alert">${this.say("stopped",{reason:r.alert})}</p>`} ${e()}`}
    </ha-card>`}async choose(t,e){if(t===void 0)throw new Error(this.say("not_available"));await this.hass?.callService("select","select_option",{option:e},{entity_id:t})}let_go(){this.release?.(),this.release=null,this.snapshot=null}async look_again(){if(this.hass===void 0)return;let t=await rt(this.hass,!0).catch(()=>null);t!==null&&(this.found=ot(t,this.config.entry_id??this.entryId)!==void 0)}async open(){let t=this.hass;if(!(t===void 0||this.release!==null||this.opening||!this.isConnected)){this.opening=!0;try{let e=await rt(t),i=ot(e,this.config.entry_id);if(this.sought=!0,this.found=i!==void 0,i===void 0||!this.isConnected)return;this.entryId=i.entry_id;let r=bt(t,i.entry_id);this.release=r.listen(o=>{this.snapshot=o===null?null:he(o),o===null&&this.look_again(),o!==null&&r.all().then(a=>this.things=a,()=>{})})}catch{this.sought=!0}finally{this.opening=!1}}}};g([$t({attribute:!1})],b.prototype,"hass",2),g([v()],b.prototype,"config",2),g([v()],b.prototype,"snapshot",2),g([v()],b.prototype,"things",2),g([v()],b.prototype,"sought",2),g([v()],b.prototype,"found",2);var xt={entry_id:{word:"community",selector:()=>({config_entry:{integration:"apis"}})},unit_id:{word:"unit",selector:()=>({select:{mode:"dropdown",custom_value:!0,options:ue()}})},title:{word:"title",selector:()=>({text:{}})},chart:{word:"draw_chart",selector:()=>({boolean:{}}),default:!0}};function O(...n){let s=new Map(n.map(t=>[t,xt[t]?.word??"title"]));return{schema:n.map(t=>({name:t,selector:xt[t]?.selector(),...xt[t]?.default===void 0?{}:{default:xt[t]?.default}})),computeLabel:({name:t})=>z(document.documentElement.lang,s.get(t)??"title")}}function ge(n,s){let t=Math.max(280,s);if(n<=(t<500?6:8)){let d=Math.max(44,Math.min(84,t/(n<=4?5:6.5))),u=Math.min(t,n<=2?d*3:Math.max(d*4.4,Math.min(t*.66,440))),c=t/2-d*.75,y=u/2-d*.8,_=Array.from({length:n},(w,m)=>{let f=m/n*2*Math.PI-(n===2?Math.PI:Math.PI/2);return{x:t/2+c*Math.cos(f),y:u/2-d*.1+y*Math.sin(f)}});return{width:t,height:u,size:d,cell:n<=4?t/2:Math.max(d*2,t/4),points:_}}let e=Math.max(3,Math.min(n,Math.floor(t/(n>40?58:76)))),i=t/e,r=Math.min(60,i*.62),o=Math.ceil(n/e),a=r*1.75,l=Array.from({length:n},(d,u)=>{let c=Math.floor(u/e),y=c===o-1?n-c*e:e;return{x:t/2+(u%e-(y-1)/2)*t/e,y:r*.8+c*a}});return{width:t,height:o*a+r*.4,size:r,cell:i,points:l}}function St(n){return[...n].reduce((s,t)=>s+(/[\u0000-\u024f\u2000-\u206f]/.test(t)?6.5:12),0)}function fe(n,s){if(St(n)<=s)return n;let t="";for(let e of n){if(St(`${t}${e}…`)>s)break;t+=e}return`${t}…`}function ve(n,s,t){let e=n.points.map((i,r)=>{let o=t[s[r]??""];return o===void 0?i:{x:o.x*n.width,y:o.y*n.height}});return{...n,points:e}}function Lt(n,s){let t=n.size/2,e=(i,r)=>Math.min(r-t,Math.max(t,i))/r;return{x:e(s.x,n.width),y:e(s.y,n.height)}}var ts=350;function ye(n,s){return Math.min(10,1.5+Math.abs(n)*(s!==null&&s>50?s:ts)/250)}function _e(n,s,t,e=0){let i={x:(n.x+s.x)/2,y:(n.y+s.y)/2},r={x:t.width/2,y:t.height/2},o=s.x-n.x,a=s.y-n.y,l=Math.hypot(o,a)||1,d=t.size*.25,u=18*(e+1),c={x:i.x+(r.x-i.x)*.35-a/l*u,y:i.y+(r.y-i.y)*.35+o/l*u},y=f=>{let $=Math.hypot(c.x-f.x,c.y-f.y)||1;return{x:f.x+(c.x-f.x)/$*d,y:f.y+(c.y-f.y)/$*d}},_=y(n),w=y(s),m=f=>`${f.x.toFixed(1)} ${f.y.toFixed(1)}`;return`M${m(_)} Q${m(c)} ${m(w)}`}var we={comma_decimal:"en-US",decimal_comma:"de",space_comma:"fr",quote_decimal:"de-CH",none:"en-US",system:void 0};function jt(n){return n?.locale?.time_zone==="server"?n.config?.time_zone:void 0}function kt(n,s,t){let e=n?.locale?.time_format,i=e==="12"?"h12":e==="24"?"h23":void 0,r=e==="system"?void 0:n?.language;return new Intl.DateTimeFormat(r,{...t,timeZone:jt(n),...i===void 0?{}:{hourCycle:i}}).format(new Date(s))}function at(n,s,t=0){let e=n?.locale?.number_format??"language",i=e in we?we[e]:n?.language;return s.toLocaleString(i,{minimumFractionDigits:t,maximumFractionDigits:t,useGrouping:e!=="none"})}function R(n,s){return s===null?"–":`${at(n,Math.round(s))} W`}function lt(n,s){return $e(new Date(s),jt(n))}function zt(n,s,t=0){let e=new Date(`${s}T00:00:00Z`);e.setUTCDate(e.getUTCDate()+t);let i=e.getTime();for(let r=0;r<2;r++)i+=e.getTime()-es(new Date(i),jt(n));return new Date(i)}function $e(n,s){return new Intl.DateTimeFormat("en-CA",{timeZone:s,year:"numeric",month:"2-digit",day:"2-digit"}).format(n)}function es(n,s){let t=new Intl.DateTimeFormat("en-GB",{timeZone:s,hour:"2-digit",minute:"2-digit",second:"2-digit",hourCycle:"h23"}).format(n);return Date.parse(`${$e(n,s)}T${t}Z`)}var At=12,ss={ArrowLeft:{x:-At,y:0},ArrowRight:{x:At,y:0},ArrowUp:{x:0,y:-At},ArrowDown:{x:0,y:At}},q=class extends b{constructor(){super(...arguments);this.width=480;this.chosen={};this.arranging=!1;this.watched="";this.dragged="";this.sizes=new ResizeObserver(t=>{let e=t[0]?.contentRect.width??0;e>0&&Math.abs(e-this.width)>1&&(this.width=Math.max(280,e-32))})}static{this.styles=[E,A`
      svg.map {
        display: block;
        width: 100%;
        overflow: visible;
      }
      .house {
        cursor: pointer;
        outline: none;
      }
      .house:focus-visible .wall {
        stroke: var(--apis-line);
        stroke-width: 4;
      }
      .arranging .house {
        cursor: grab;
        touch-action: none;
      }
      .wall {
        fill: var(--card-background-color, #fff);
        stroke: var(--secondary-text-color);
        stroke-width: 1.8;
        stroke-linejoin: round;
      }
      .away .wall {
        stroke-dasharray: 4 4;
      }
      .fill {
        fill: var(--apis-charge);
        opacity: 0.85;
      }
      .low .fill {
        fill: var(--apis-give);
      }
      .away .fill {
        opacity: 0.2;
      }
      text {
        fill: var(--primary-text-color);
        font-size: 12px;
        text-anchor: middle;
      }
      .label {
        paint-order: stroke;
        stroke: var(--card-background-color, #fff);
        stroke-width: 4px;
        stroke-linejoin: round;
      }
      .small {
        font-size: 11px;
        fill: var(--secondary-text-color);
      }
      .pct {
        font-weight: 600;
        paint-order: stroke;
        stroke: var(--card-background-color, #fff);
        stroke-width: 3px;
        stroke-linejoin: round;
      }
      .stream {
        fill: none;
        stroke: var(--apis-line);
        stroke-linecap: round;
        opacity: 0.35;
      }
      .moving {
        fill: none;
        stroke: var(--apis-line);
        stroke-linecap: round;
        stroke-dasharray: 2 16;
        animation: flow 1.1s linear infinite;
      }
      .agreed {
        stroke-dasharray: 3 7;
      }
      @keyframes flow {
        to {
          stroke-dashoffset: -18;
        }
      }
      @media (prefers-reduced-motion: reduce) {
        .moving {
          animation: none;
        }
      }
      .badge {
        fill: var(--card-background-color, #fff);
        stroke: var(--apis-line);
        stroke-width: 1.5;
      }
      .sign {
        fill: var(--apis-line);
      }
      .wave {
        fill: none;
        stroke: var(--apis-line);
        stroke-width: 1.8;
        stroke-linecap: round;
      }
      .legend {
        display: flex;
        flex-wrap: wrap;
        gap: 2px 16px;
        align-items: center;
        font-size: 0.85rem;
      }
      .legend svg {
        width: 18px;
        height: 18px;
        vertical-align: -4px;
      }
      ul {
        margin: 8px 0 0;
        padding: 0;
        list-style: none;
      }
    `]}static getConfigForm(){return O("entry_id","title")}static getStubConfig(){return{}}getGridOptions(){return{columns:12,min_columns:6}}connectedCallback(){super.connectedCallback(),this.sizes.observe(this)}disconnectedCallback(){super.disconnectedCallback(),this.sizes.disconnect()}updated(){super.updated(),this.snapshot!==null&&this.watched!==this.entryId&&(this.watched=this.entryId,this.hass?.callWS({type:"frontend/get_user_data",key:this.key}).then(({value:t})=>this.chosen=t??{}))}render(){return this.frame(this.snapshot?.title??this.say("community"),()=>this.picture(),this.head())}get key(){return`apis_places_${this.entryId}`}head(){let t=this.snapshot,e=t!==null&&t.acceleration!==1?` · ${this.say("accelerated",{factor:t.acceleration})}`:"";return h`<span class="soft">${this.named(t?.mode??null)}${e}</span>`}picture(){let t=this.snapshot?.units??[],e=t.map(l=>l.unit_id),i=ge(t.length,this.width),r=ve(i,e,this.chosen),o=this.snapshot?.deals??[],a=new Map;return h`<svg class="map ${this.arranging?"arranging":""}" viewBox="0 0 ${r.width} ${r.height}" role="group" aria-label=${this.summary()}>
        ${o.map(l=>{let d=[l.from,l.to].sort().join();return a.set(d,(a.get(d)??-1)+1),this.flow(l,r,e,a.get(d)??0)})}
        ${t.map((l,d)=>this.house(l,r.points[d]??{x:0,y:0},r))}
      </svg>
      <p class="visually-hidden" aria-live="polite">${this.summary()}</p>
      ${this.list(o)} ${this.legend()}`}summary(){if(this.snapshot?.available===!1)return this.say("not_available");let t=this.snapshot?.deals.length??0;return t===0?this.say("nobody_shares"):t===1?this.say("one_deal_runs"):this.say("deals_running",{count:t})}list(t){if(this.snapshot?.available===!1)return p;if(t.length===0)return h`<p class="note soft">${this.say("nobody_shares")}</p>`;let e=t.slice(0,5).map(i=>{let r=Math.round(i.current_a*(this.unit(i.from)?.grid_voltage_v??0)),o=i.state==="started"&&r>0;return h`<li>${o?this.say("shares_now",{from:this.nameOf(i.from),to:this.nameOf(i.to),watts:r}):`${this.nameOf(i.from)} → ${this.nameOf(i.to)}: ${this.named(i.state)}`}</li>`});return h`<ul>${e}${t.length>5?h`<li class="soft">${this.say("deals_running",{count:t.length})}</li>`:p}</ul>`}flow(t,e,i,r){let o=e.points[i.indexOf(t.from)],a=e.points[i.indexOf(t.to)];if(o===void 0||a===void 0)return p;let l=_e(o,a,e,r),d=ye(t.current_a,this.unit(t.from)?.grid_voltage_v??null);return t.state!=="started"?C`<path class="stream agreed" d=${l} stroke-width="2"></path>`:C`<path class="stream" d=${l} stroke-width=${d}></path><path class="moving" d=${l} stroke-width=${Math.max(3,d*.8)}></path>`}house(t,e,i){let r=i.size,o=r/2,a=t.state_of_charge_pct,l=Math.max(0,Math.min(100,a??0))/100,d=a!==null&&t.request_below_pct!==null&&a<t.request_below_pct,u=`M${-o} ${-o*.2} L0 ${-o} L${o} ${-o*.2} V${o} H${-o} Z`,c=`clip-${t.unit_id}`,y=r*(1-l),_=r>36,w=fe(t.name,Math.min(i.cell-4,r*1.5)),m=this.below(t),f=["house",t.alive?"":"away",d?"low":""].join(" ");return C`<g
      class=${f}
      transform="translate(${e.x.toFixed(1)} ${e.y.toFixed(1)})"
      tabindex="0"
      role="button"
      aria-label=${this.inWords(t)}
      @click=${()=>this.open_unit(t)}
      @keydown=${$=>this.key_on($,t,e,i)}
      @pointerdown=${$=>this.begin($,t)}
      @pointermove=${$=>this.drag($,i)}
      @pointerup=${()=>this.drop()}
      @pointercancel=${()=>this.drop()}
    >
      <clipPath id=${c}><path d=${u}></path></clipPath>
      <path class="wall" d=${u}></path>
      <rect class="fill" clip-path="url(#${c})" x=${-o} y=${-o+y} width=${r} height=${r-y}></rect>
      <path class="wall" style="fill:none" d=${u}></path>
      <text class="pct" y="${o*.45}" style="font-size:${Math.max(11,r*.22)}px">${a===null?"?":`${Math.round(a)}%`}</text>
      ${t.is_grid_master?this.crown(-o*.95,-o*.85):p} ${t.is_voltage_reference?this.wave(o*.95,-o*.85):p}
      ${_?C`<text class="label" y=${o+14}>${w}</text> ${r>50&&St(m)<=i.cell?C`<text class="label small" y=${o+28}>${m}</text>`:p}`:p}
    </g>`}crown(t,e){return C`<g transform="translate(${t.toFixed(1)} ${e.toFixed(1)})"><circle class="badge" r="10"></circle><path class="sign" d="M-6 4 L-7 -4 L-3 -0.5 L0 -6 L3 -0.5 L7 -4 L6 4 Z"></path></g>`}wave(t,e){return C`<g transform="translate(${t.toFixed(1)} ${e.toFixed(1)})"><circle class="badge" r="10"></circle><path class="wave" d="M-6.5 0 q3.2 -7 6.5 0 t6.5 0"></path></g>`}below(t){if(!t.alive)return this.say("away");if(t.wish!==null&&t.converter_mode==="WAIT")return this.wish(t);let e=t.solar_w===null?"":`☀ ${R(this.hass,t.solar_w)}`,i=t.load_w===null?"":`⌂ ${R(this.hass,t.load_w)}`;return[e,i].filter(Boolean).join(" ")}wish(t){return t.wish===null?"":this.say(t.wish.direction==="charge"?"asks":"offers",{wh:t.wish.amountWh})}inWords(t){let e={CHARGE:this.say("charge"),DISCHARGE:this.say("discharge"),VOLTAGE_REFERENCE:this.say("voltage_reference_mode"),WAIT:this.say("wait")},i=t.state_of_charge_pct;return[`${i===null?"?":`${Math.round(i)}%`} ${t.name} ${this.below(t)}`,i!==null&&t.request_below_pct!==null&&i<t.request_below_pct?this.say("below_target"):"",t.alive?e[t.converter_mode??""]??"":this.say("away"),t.is_grid_master?this.say("grid_master"):"",t.is_voltage_reference?this.say("voltage_reference"):"",this.wish(t),t.solar_w===null?"":`${this.say("solar")} ${R(this.hass,t.solar_w)}`,t.load_w===null?"":`${this.say("load")} ${R(this.hass,t.load_w)}`].filter(Boolean).join(", ")}legend(){let t=e=>h`<svg viewBox="-12 -12 24 24" aria-hidden="true">${e}</svg>`;return h`<div class="legend note soft">
      <span>${t(this.crown(0,0))} ${this.say("grid_master")}</span>
      <span>${t(this.wave(0,0))} ${this.say("voltage_reference")}</span>
      <span style="margin-left:auto">
        ${this.arranging?h`<button @click=${()=>this.keep({})}>${this.say("arrange_again")}</button> <button class="main turn" @click=${()=>this.arrange(!1)}>${this.say("arrange_done")}</button>`:h`<button class="plain turn" @click=${()=>this.arrange(!0)}>${this.say("arrange")}</button>`}
      </span>
      ${this.arranging?h`<span role="status">${this.say("arrange_hint")}</span>`:p}
    </div>`}async arrange(t){this.arranging=t,await this.updateComplete,this.renderRoot.querySelector(".turn")?.focus()}open_unit(t){let e=this.things?.units[t.unit_id]?.entities.state_of_charge;this.arranging||e===void 0||this.dispatchEvent(new CustomEvent("hass-more-info",{bubbles:!0,composed:!0,detail:{entityId:e}}))}key_on(t,e,i,r){let o=ss[t.key];this.arranging&&o!==void 0?(t.preventDefault(),this.keep({...this.chosen,[e.unit_id]:Lt(r,{x:i.x+o.x,y:i.y+o.y})})):(t.key==="Enter"||t.key===" ")&&(t.preventDefault(),this.open_unit(e))}begin(t,e){this.arranging&&(this.dragged=e.unit_id,t.currentTarget.setPointerCapture(t.pointerId))}drag(t,e){if(this.dragged==="")return;let i=this.renderRoot.querySelector("svg.map");if(i===null)return;let r=i.getBoundingClientRect(),o={x:(t.clientX-r.left)/r.width*e.width,y:(t.clientY-r.top)/r.height*e.height};this.chosen={...this.chosen,[this.dragged]:Lt(e,o)}}drop(){this.dragged!==""&&(this.dragged="",this.keep(this.chosen))}async keep(t){this.chosen=t,await this.hass?.callWS({type:"frontend/set_user_data",key:this.key,value:t}).catch(()=>{})}};g([v()],q.prototype,"width",2),g([v()],q.prototype,"chosen",2),g([v()],q.prototype,"arranging",2);function xe(n,s){let t=n.amount_wh>0?Math.max(0,Math.min(1,n.exchanged_wh/n.amount_wh)):0,e=n.current_a*(s!==null&&s>50?s:350);return n.state!=="started"||e<=0?{part:t,minutesLeft:null}:{part:t,minutesLeft:Math.max(0,n.amount_wh-n.exchanged_wh)/e*60}}function Se(n,s,t){return n.filter(e=>(s===""||e.from===s||e.to===s)&&(t===""||e.state===t))}var be=["deal_id","created","started","ended","from","to","state","amount_wh","exchanged_wh","current_a","point_per_wh","reason"];function ke(n){let s=t=>{let e=t==null?"":String(t);return typeof t=="string"&&/^[=+\-@\t\r]/.test(e)&&(e=`'${e}`),/[",\r\n]/.test(e)?`"${e.replaceAll('"','""')}"`:e};return[be.join(","),...n.map(t=>be.map(e=>s(t[e])).join(","))].join(`\r
`)+`\r
`}function dt(n,s,t){let e=document.createElement("a");e.href=URL.createObjectURL(new Blob([t],{type:s})),e.download=n,e.click(),setTimeout(()=>URL.revokeObjectURL(e.href),1e3)}var is=["created","started","completed","aborted"],Ae=864e5,qt=200,S=class extends b{constructor(){super(...arguments);this.from=lt(void 0,new Date(Date.now()-Ae));this.to=lt(void 0,new Date);this.unitId="";this.wantedState="";this.deals=null;this.opened=null;this.sure=!1;this.trouble="";this.asked="";this.chosen=!1}static{this.styles=[E,A`
      .table {
        overflow: auto;
        max-height: 460px;
        margin-top: 12px;
      }
      table {
        border-collapse: collapse;
        width: 100%;
        font-size: 0.9rem;
        font-variant-numeric: tabular-nums;
      }
      th,
      td {
        text-align: start;
        padding: 8px 10px 8px 0;
        border-bottom: 1px solid var(--apis-edge);
        white-space: nowrap;
      }
      th {
        position: sticky;
        top: 0;
        background: var(--card-background-color, #fff);
        font-weight: 500;
        color: var(--secondary-text-color);
      }
      .number {
        text-align: end;
      }
      @media (max-width: 480px) {
        th,
        td {
          white-space: normal;
          padding-inline-end: 6px;
          overflow-wrap: anywhere;
        }
        td:last-child {
          overflow-wrap: normal;
        }
      }
      td button {
        border: 0;
        background: none;
        padding: 0 2px;
        color: var(--primary-text-color);
        text-decoration: underline dotted;
      }
      dl {
        display: grid;
        grid-template-columns: auto 1fr;
        gap: 6px 16px;
      }
      dt {
        color: var(--secondary-text-color);
      }
      dd {
        margin: 0;
        overflow-wrap: anywhere;
      }
    `]}static getConfigForm(){return O("entry_id","title")}static getStubConfig(){return{}}getGridOptions(){return{columns:12,min_columns:6}}updated(){super.updated(),this.look()}render(){return this.frame(this.say("deals"),()=>this.body())}body(){let t=new Map((this.snapshot?.deals??[]).map(a=>[a.deal_id,a])),e=(this.deals??[]).map(a=>t.get(a.deal_id)??a),i=Se(e,this.unitId,this.wantedState).toReversed(),r=this.snapshot?.units??[],o=a=>l=>a(l.target.value);return h`<div class="row note">
        <label>${this.say("from")}<input type="date" .value=${this.from} max=${this.to} @change=${o(a=>this.choose_days(a||this.from,this.to))} /></label>
        <label>${this.say("to")}<input type="date" .value=${this.to} min=${this.from} @change=${o(a=>this.choose_days(this.from,a||this.to))} /></label>
        <label>${this.say("choose_house")}
          <select @change=${o(a=>this.unitId=a)}>
            <option value="">${this.say("all_houses")}</option>
            ${r.map(a=>h`<option value=${a.unit_id}>${a.name}</option>`)}
          </select>
        </label>
        <label>${this.say("state")}
          <select @change=${o(a=>this.wantedState=a)}>
            <option value="">${this.say("all_states")}</option>
            ${is.map(a=>h`<option value=${a}>${this.named(a)}</option>`)}
          </select>
        </label>
        <button ?disabled=${i.length===0} @click=${()=>dt(`deals-${this.from}-${this.to}.csv`,"text/csv",ke(i))}>${this.say("csv")}</button>
        <button ?disabled=${i.length===0} @click=${()=>dt(`deals-${this.from}-${this.to}.json`,"application/json",JSON.stringify(i,null,2))}>${this.say("json")}</button>
      </div>
      ${this.trouble===""?p:h`<p class="note bad" role="alert">${this.trouble}</p>`}
      ${this.deals!==null&&i.length===0?h`<p class="note soft">${this.say("no_deals")}</p>`:this.table(i)} ${this.detail()}`}table(t){return h`<div class="table" tabindex="0" role="region" aria-label=${this.say("deals")}>
      <table>
        <thead>
          <tr><th>${this.say("time")}</th><th>${this.say("giver")}</th><th>${this.say("taker")}</th><th class="number">${this.say("energy")}</th><th>${this.say("state")}</th></tr>
        </thead>
        <tbody>
          ${t.slice(0,qt).map(e=>h`<tr>
              <td><button @click=${()=>this.show(e)}>${this.moment(e.created)}</button></td>
              <td>${this.nameOf(e.from)}</td>
              <td>${this.nameOf(e.to)}</td>
              <td class="number">${e.exchanged_wh.toFixed(0)} / ${e.amount_wh} Wh</td>
              <td class=${e.state==="aborted"?"bad":""}>${this.named(e.state)}</td>
            </tr>`)}
        </tbody>
      </table>
      ${t.length>qt?h`<p class="note soft">${this.say("more_deals",{count:t.length-qt})}</p>`:p}
    </div>`}detail(){let t=this.opened,e=t===null?[]:[[this.say("giver"),this.nameOf(t.from)],[this.say("taker"),this.nameOf(t.to)],[this.say("agreed"),`${t.amount_wh} Wh · ${t.current_a} A`],[this.say("exchanged"),`${at(this.hass,t.exchanged_wh,1)} Wh`],[this.say("price"),t.point_per_wh===null?"–":`${(t.point_per_wh*t.exchanged_wh).toFixed(0)} (${t.point_per_wh} / Wh)`],[this.say("created"),this.moment(t.created)],[this.say("start_time"),t.started===null?"–":this.moment(t.started)],[this.say("ended"),t.ended===null?"–":this.moment(t.ended)],[this.say("state"),this.named(t.state)],...t.reason===null?[]:[[this.say("reason"),t.reason]]],i=t!==null&&t.ended===null&&this.isAdmin;return h`<dialog aria-label=${this.say("deals")} @close=${()=>this.closed()}>
      <dl>${e.map(([r,o])=>h`<dt>${r}</dt><dd>${o}</dd>`)}</dl>
      <div class="row">
        <button class="main" autofocus @click=${()=>this.dialog?.close()}>${this.say("close")}</button>
        ${i?h`<button class=${this.sure?"bad":""} @click=${()=>this.stop(t)}>${this.say(this.sure?"stop_deal_sure":"stop_deal")}</button>`:p}
      </div>
    </dialog>`}choose_days(t,e){this.chosen=!0,[this.from,this.to]=[t,e]}moment(t){return kt(this.hass,t,{month:"short",day:"numeric",hour:"2-digit",minute:"2-digit"})}show(t){this.opened=t,this.updateComplete.then(()=>this.dialog?.showModal())}closed(){this.opened=null,this.sure=!1}async stop(t){if(!this.sure){this.sure=!0;return}this.dialog?.close();try{await this.hass?.callService("apis","stop_deal",{deal_id:t.deal_id,config_entry_id:this.entryId})}catch(e){this.trouble=String(e.message??e)}}async look(){if(this.snapshot?.available!==!0||this.hass===void 0)return;let t=this.snapshot.deals.map(a=>`${a.deal_id}${a.state}`).join(),e=lt(this.hass,this.snapshot.time);!this.chosen&&this.to!==e&&([this.from,this.to]=[lt(this.hass,new Date(new Date(this.snapshot.time).getTime()-Ae)),e]);let i=[this.entryId,this.from,this.to,t].join("|");if(i===this.asked)return;this.asked=i;let[r,o]=[zt(this.hass,this.from),zt(this.hass,this.to,1)];try{let a=await this.hass.callWS({type:"apis/deals",entry_id:this.entryId,from:r.toISOString(),to:o.toISOString()});if(i!==this.asked)return;this.deals=a,this.trouble=""}catch(a){this.asked="",this.trouble=String(a.message??a)}}};g([v()],S.prototype,"from",2),g([v()],S.prototype,"to",2),g([v()],S.prototype,"unitId",2),g([v()],S.prototype,"wantedState",2),g([v()],S.prototype,"deals",2),g([v()],S.prototype,"opened",2),g([v()],S.prototype,"sure",2),g([v()],S.prototype,"trouble",2),g([j("dialog")],S.prototype,"dialog",2);var B={ATTRIBUTE:1,CHILD:2,PROPERTY:3,BOOLEAN_ATTRIBUTE:4,EVENT:5,ELEMENT:6},Ee=n=>(...s)=>({_$litDirective$:n,values:s}),Et=class{constructor(s){}get _$AU(){return this._$AM._$AU}_$AT(s,t,e){this._$Ct=s,this._$AM=t,this._$Ci=e}_$AS(s,t){return this.update(s,t)}update(s,t){return this.render(...t)}};var{I:Xi}=ae;var Pe=n=>n.strings===void 0;var ns={},Te=(n,s=ns)=>n._$AH=s;var J=Ee(class extends Et{constructor(n){if(super(n),n.type!==B.PROPERTY&&n.type!==B.ATTRIBUTE&&n.type!==B.BOOLEAN_ATTRIBUTE)throw Error("The `live` directive is not allowed on child or event bindings");if(!Pe(n))throw Error("`live` bindings can only contain a single expression")}render(n){return n}update(n,[s]){if(s===k||s===p)return s;let t=n.element,e=n.name;if(n.type===B.PROPERTY){if(s===t[e])return k}else if(n.type===B.BOOLEAN_ATTRIBUTE){if(!!s===t.hasAttribute(e))return k}else if(n.type===B.ATTRIBUTE&&t.getAttribute(e)===s+"")return k;return Te(n),s}});function Y(n){let s=t=>String(t).padStart(2,"0");return`${s(Math.floor(n/3600))}:${s(Math.floor(n/60)%60)}:${s(n%60)}`}function Pt(n){let[s=0,t=0,e=0]=n.split(":").map(Number);return s*3600+t*60+e}function F(n){let s={},t=[],e=n.acceptSelection?.strategy??"amount";for(let[i,r]of Object.entries(n)){if(!i.includes("-")){s[i]=r;continue}let o=r,[a="",l=""]=i.split("-"),d=Object.entries(o.batteryStatus??{}).map(([u,c])=>({name:c,fromWh:Number(u.split("-")[0]||0),request:Re(o.request,c),accept:Re(o.accept,c)})).sort((u,c)=>u.fromWh-c.fromWh);t.push({startS:Pt(a),endS:Pt(l),strategy:o.acceptSelection?.strategy??e,statuses:d})}return t.sort((i,r)=>i.startS-r.startS),{rest:s,parts:t}}function Re(n,s){let t={};for(let[e,i]of Object.entries(n?.[s]??{}))t[e]={limitWh:i.limitWh,pointPerWh:i.pointPerWh??null,pairUnitId:i.pairUnitId??null};return t}function M(n){let s={...n.rest};for(let t of n.parts){let e={};t.statuses.forEach((r,o)=>{let a=t.statuses[o+1];e[`${o===0?"":r.fromWh}-${a===void 0?"":a.fromWh}`]=r.name});let i=r=>Object.fromEntries(t.statuses.filter(o=>Object.keys(o[r]).length>0).map(o=>[o.name,rs(o[r])]));s[`${Y(t.startS)}-${Y(t.endS)}`]={acceptSelection:{strategy:t.strategy},batteryStatus:e,request:i("request"),accept:i("accept")}}return s}function rs(n){let s={};for(let[t,e]of Object.entries(n)){let i={limitWh:Math.round(e.limitWh)};e.pointPerWh!==null&&(i.pointPerWh=e.pointPerWh),e.pairUnitId!==null&&(i.pairUnitId=e.pairUnitId),s[t]=i}return s}function ht(n,s,t){return{...n,parts:n.parts.map((e,i)=>i===s?{...e,...t}:e)}}function os(n,s,t,e){let i=n.parts[s]?.statuses.map((r,o)=>o===t?{...r,...e}:r)??[];return ht(n,s,{statuses:i})}function Me(n,s,t,e,i,r){let o=n.parts[s]?.statuses??[],l={...o[t]?.[e]??{}};r===null?delete l[i]:l[i]=r;let d=o[t]?.name;return ht(n,s,{statuses:o.map(u=>u.name===d?{...u,[e]:l}:u)})}function Ce(n,s,t,e,i){let r=n.parts[s]?.statuses??[],o=(r[t-1]?.fromWh??0)+1,a=(r[t+1]?.fromWh??i)-1;return os(n,s,t,{fromWh:Math.round(Math.min(a,Math.max(o,e)))})}function We(n){let s=a=>a.endS>a.startS?a.endS-a.startS:86400-a.startS+a.endS,t=n.parts.reduce((a,l,d)=>s(l)>s(n.parts[a]??l)?d:a,0),e=n.parts[t];if(e===void 0)return n;let i=(e.startS+Math.round(s(e)/2/900)*900)%86400,r=[{...e,endS:i===0?86400:i},{...structuredClone(e),startS:i}],o=[...n.parts.slice(0,t),...r,...n.parts.slice(t+1)];return{...n,parts:o.sort((a,l)=>a.startS-l.startS)}}function Oe(n,s){if(n.parts.length<2)return n;let t=n.parts[s],e=(s+n.parts.length-1)%n.parts.length,i=n.parts.map((r,o)=>o===e&&t!==void 0?{...r,endS:t.endS}:r).filter((r,o)=>o!==s);return i.length===1&&i[0]!==void 0&&(i[0]={...i[0],startS:0,endS:86400}),{...n,parts:i}}var as=["request","accept"],ls=["charge","discharge"],ds=350,hs=50,cs=2e4,Bt=new Map,x=class extends b{constructor(){super(...arguments);this.unitId="";this.draft=null;this.versions=[];this.past=[];this.tried=null;this.trouble="";this.wrong=!1;this.said="";this.loaded="";this.failed=null;this.askedMs=0;this.saved="";this.timer=0;this.saving=!1;this.dragged=null}static{this.styles=[E,A`
      fieldset {
        border: 1px solid var(--apis-edge);
        border-radius: 12px;
        margin: 14px 0 0;
        padding: 12px;
        min-width: 0;
      }
      legend {
        padding: 0 6px;
        font-weight: 500;
      }
      .scale {
        display: flex;
        height: 26px;
        border-radius: 6px;
        overflow: hidden;
        margin: 12px 0 4px;
        font-size: 0.75rem;
      }
      .scale div {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
        padding: 4px 6px;
        border-inline-end: 1px solid var(--card-background-color, #fff);
        background: var(--apis-edge);
        color: var(--primary-text-color);
        box-sizing: border-box;
      }
      input[type="range"] {
        padding: 0;
        width: 100%;
        border: 0;
        background: none;
        appearance: none;
        min-height: 32px;
      }
      input[type="range"]::-webkit-slider-runnable-track {
        height: 6px;
        border-radius: 3px;
        background: var(--apis-edge);
      }
      input[type="range"]::-webkit-slider-thumb {
        appearance: none;
        width: 22px;
        height: 22px;
        margin-top: -8px;
        border-radius: 50%;
        background: var(--apis-line);
      }
      input[type="range"]::-moz-range-track {
        height: 6px;
        border-radius: 3px;
        background: var(--apis-edge);
      }
      input[type="range"]::-moz-range-thumb {
        width: 22px;
        height: 22px;
        border: 0;
        border-radius: 50%;
        background: var(--apis-line);
      }
      .clock {
        display: flex;
        justify-content: space-between;
        font-size: 0.75rem;
        color: var(--secondary-text-color);
      }
      input[type="number"] {
        width: 92px;
      }
      .wish {
        display: grid;
        grid-template-columns: minmax(140px, 1fr) 2fr auto;
        gap: 4px 12px;
        align-items: center;
        padding: 6px 0;
      }
      .wish label.tick {
        flex-direction: row;
        align-items: center;
        gap: 8px;
        color: var(--primary-text-color);
      }
      .tick input {
        min-height: 20px;
        width: 20px;
        height: 20px;
      }
      .hours {
        display: grid;
        grid-template-columns: repeat(24, 1fr);
        height: 22px;
        margin-top: 8px;
        border-radius: 6px;
        overflow: hidden;
        background: var(--apis-edge);
      }
      .hours .charge {
        background: var(--apis-charge);
      }
      .hours .discharge {
        background: var(--apis-give);
      }
      .kinds {
        display: flex;
        gap: 16px;
        font-size: 0.8rem;
        margin-top: 4px;
      }
      .kinds i {
        display: inline-block;
        width: 10px;
        height: 10px;
        border-radius: 3px;
        margin-inline-end: 6px;
      }
      .kinds .charge {
        background: var(--apis-charge);
      }
      .kinds .discharge {
        background: var(--apis-give);
      }
      textarea {
        width: 100%;
        min-height: 220px;
        font-family: ui-monospace, monospace;
        font-size: 0.8rem;
      }
      @media (max-width: 560px) {
        .wish {
          grid-template-columns: 1fr auto;
        }
        .wish input[type="range"] {
          grid-column: 1 / -1;
          grid-row: 2;
        }
      }
    `]}static getConfigForm(){return O("entry_id","unit_id","title")}static getStubConfig(){return{}}setConfig(t){super.setConfig(t),this.unitId="",this.loaded="",this.draft=null,this.tried=null}getGridOptions(){return{columns:12,min_columns:6}}disconnectedCallback(){super.disconnectedCallback(),clearTimeout(this.timer)}updated(){super.updated();let t=this.config.unit_id??this.snapshot?.units[0]?.unit_id??"";this.unitId===""&&t!==""&&(this.unitId=t);let e=this.snapshot;this.unitId!==""&&this.loaded!==`${this.entryId}/${this.unitId}`?this.load():this.failed!==null&&this.failed!==e&&e?.available===!0?this.load():this.draft!==null&&this.tried!==null&&!this.wrong&&Date.now()-this.askedMs>cs&&this.ask()}render(){let t=this.snapshot?.units??[],e=h`<label>${this.say("choose_house")}
      <select @change=${i=>this.unitId=i.target.value}>
        ${t.map(i=>h`<option value=${i.unit_id} ?selected=${i.unit_id===this.unitId}>${i.name}</option>`)}
      </select>
    </label>`;return this.frame(this.config.unit_id===void 0?this.say("scenario"):`${this.say("scenario")}: ${this.nameOf(this.unitId)}`,()=>this.body(),this.config.unit_id===void 0?e:p)}body(){let t=this.draft;if(t===null)return h`<p class="note ${this.trouble===""?"soft":"bad"}" role="status">${this.trouble||"…"}</p>`;let e=JSON.stringify(M(t))!==this.saved,i=this.unit(this.unitId);return h`<p class="note" role="status">${this.trouble===""?this.wouldDo():h`<span class="bad">${this.trouble}</span>`}</p>
      ${this.day()} ${t.parts.map((r,o)=>this.band(t,o,i?.capacity_wh??4800))}
      <div class="row note">
        <button @click=${()=>this.change(We(t))}>${this.say("add_band")}</button>
        <button ?disabled=${this.past.length===0} @click=${()=>this.undo()}>${this.say("undo")}</button>
        <button @click=${()=>this.exchange()}>${this.say("import")} / ${this.say("export")}</button>
        ${this.versions.length===0?p:this.history()}
        <button class="main" style="margin-inline-start:auto" ?disabled=${!e||this.saving||this.wrong} @click=${()=>this.save()}>${this.say("save")}</button>
      </div>
      ${this.trouble===""?h`<p class="note soft" role="status">${e?`${this.say("unsaved")} ${this.wouldDo()}`:this.said}</p>`:h`<p class="note bad">${this.trouble}</p>`}
      <dialog aria-label=${this.say("scenario")}>
        <textarea aria-label="JSON" spellcheck="false" @input=${r=>r.target.setCustomValidity("")}></textarea>
        <div class="row">
          <button class="main" @click=${()=>this.take()}>${this.say("apply")}</button>
          <button @click=${()=>dt(`scenario-${this.unitId}.json`,"application/json",this.text?.value??"")}>${this.say("export")}</button>
          <button @click=${()=>this.dialog?.close()}>${this.say("close")}</button>
        </div>
      </dialog>`}band(t,e,i){let r=t.parts[e];if(r===void 0)return h``;let o=(l,d,u)=>h`<label>${this.say(l)}<input type="time" .value=${Y(d%86400).slice(0,5)} @change=${c=>{let y=c.target;y.value!==""&&this.change(u(Pt(y.value)))}} /></label>`,a=l=>((r.statuses[l+1]?.fromWh??i)-(r.statuses[l]?.fromWh??0))/i;return h`<fieldset>
      <legend>${Y(r.startS).slice(0,5)} – ${Y(r.endS).slice(0,5)}</legend>
      <div class="row">
        ${o("begins",r.startS,l=>ht(t,e,{startS:l}))} ${o("ends",r.endS,l=>ht(t,e,{endS:l||86400}))}
        ${t.parts.length>1?h`<button @click=${()=>this.change(Oe(t,e))}>${this.say("remove_band")}</button>`:p}
      </div>
      <div class="scale" aria-hidden="true">${r.statuses.map((l,d)=>h`<div style="width:${Math.max(0,a(d))*100}%">${l.name} ${d===0?"":`${Math.round(l.fromWh/i*100)} %`}</div>`)}</div>
      ${r.statuses.slice(1).map((l,d)=>{let u=this.say("boundary",{status:l.name}),c=this.moving(`${e}/${d}`,l.fromWh);return h`<label>${u}: ${c} Wh (${Math.round(c/i*100)} %)
          <input type="range" min="0" max=${i} step="10" .value=${J(String(c))} @input=${this.slide(`${e}/${d}`)} @change=${y=>this.change(Ce(t,e,d+1,Number(y.target.value),i))} />
        </label>`})}
      ${r.statuses.map((l,d)=>h`<h3>${l.name}</h3>
          ${as.map(u=>ls.map(c=>this.wish(t,e,d,u,c,i)))}`)}
    </fieldset>`}wish(t,e,i,r,o,a){let l=t.parts[e]?.statuses[i]?.name??"",d=t.parts[e]?.statuses[i]?.[r][o],u=this.say(`${r}_${o}`),c=m=>{let f={limitWh:Math.round(a/2),pointPerWh:10,pairUnitId:null,...d,...m};this.change(Me(t,e,i,r,o,m===null?null:f))},y=m=>m.target.value,_=o==="charge"?"up_to":"down_to",w=`${e}/${i}/${r}/${o}`;return h`<div class="wish">
      <label class="tick"><input type="checkbox" .checked=${d!==void 0} aria-label=${`${l}: ${u}`} @change=${m=>c(m.target.checked?{}:null)} />${d===void 0?u:this.say(_,{wish:u,wh:this.moving(w,d.limitWh)})}</label>
      ${d===void 0?p:h`<input type="range" min="0" max=${a} step="10" aria-label=${`${l}: ${u} (Wh)`} .value=${J(String(this.moving(w,d.limitWh)))} @input=${this.slide(w)} @change=${m=>c({limitWh:Number(y(m))})} />
            <label>${this.say("points_per_wh")}<input type="number" min="0" step="0.1" .value=${d.pointPerWh===null?"":String(d.pointPerWh)} @change=${m=>{let f=m.target;f.validity.rangeUnderflow||f.validity.badInput?f.reportValidity():c({pointPerWh:f.value===""?null:Number(f.value)})}} /></label>`}
    </div>`}history(){let t=i=>{let r=i.target,o=this.versions[Number(r.value)];r.value="",o!==void 0&&this.change(F(o.scenario))},e=this.versions.map((i,r)=>({version:i,i:r})).toReversed().slice(0,30);return h`<label>${this.say("versions")}
      <select @change=${t}>
        <option value="">–</option>
        ${e.map(({version:i,i:r})=>h`<option value=${r}>${kt(this.hass,i.time,{dateStyle:"short",timeStyle:"short"})} · ${i.who}</option>`)}
      </select>
    </label>`}wouldDo(){let t=this.tried?.now;if(t===void 0)return"";let e=(o,a)=>this.say(`preview_${o}_${a.direction}`,{wh:a.amountWh,points:a.pointPerWh??this.say("any_price")}),i=t.request===null?t.accept.map(o=>e("accepts",o)):[e("asks",t.request)],r=i.length===0&&t.reason?` (${t.reason})`:"";return this.say("preview_now",{what:i.length===0?this.say("preview_nothing"):i.join(", ")})+r}day(){if(this.tried===null)return p;let t=e=>(e.request??e.accept[0])?.direction??"";return h`<div class="hours" role="img" aria-label=${this.say("day_plan",{what:this.plan(t)})}>${this.tried.hours.map(e=>h`<div class=${t(e)} title=${`${e.hour}:00 ${e.status??""}`}></div>`)}</div>
      <div class="clock" aria-hidden="true">${[0,6,12,18,24].map(e=>h`<span>${e}:00</span>`)}</div>
      <div class="kinds soft" aria-hidden="true">
        <span><i class="charge"></i>${this.say("charge_wish")}</span><span><i class="discharge"></i>${this.say("discharge_wish")}</span>
      </div>`}plan(t){let e=[];for(let r of this.tried?.hours??[]){let o=e.at(-1);o?.kind===t(r)?o.to=r.hour+1:e.push({kind:t(r),from:r.hour,to:r.hour+1})}let i=r=>this.say(r==="charge"?"charge_wish":r==="discharge"?"discharge_wish":"preview_nothing");return e.map(r=>`${r.from}:00–${r.to}:00 ${i(r.kind)}`).join(", ")}moving(t,e){return this.dragged?.slider===t?this.dragged.wh:e}slide(t){return e=>this.dragged={slider:t,wh:Number(e.target.value)}}change(t){this.dragged=null,!(this.draft!==null&&JSON.stringify(this.draft)===JSON.stringify(t))&&(this.draft!==null&&(this.past=[...this.past,this.draft].slice(-hs)),this.draft=t,this.said="",this.remember(),this.ask())}undo(){let t=this.past.at(-1);t!==void 0&&(this.past=this.past.slice(0,-1),this.draft=t,this.remember(),this.ask())}remember(){this.draft!==null&&Bt.set(this.loaded,{draft:this.draft,past:this.past,saved:this.saved})}exchange(){this.dialog?.showModal(),!(this.text===void 0||this.draft===null)&&(this.text.value=JSON.stringify(M(this.draft),null,2),this.text.setCustomValidity(""))}take(){try{this.change(F(JSON.parse(this.text?.value??""))),this.dialog?.close()}catch(t){this.text?.setCustomValidity(String(t)),this.text?.reportValidity()}}ask(){clearTimeout(this.timer),this.askedMs=Date.now(),this.timer=window.setTimeout(()=>{let t=this.draft;if(t===null)return;let e={type:"apis/preview",entry_id:this.entryId,unit_id:this.unitId,scenario:M(t)},i=this.loaded;this.attempt(async()=>{let r=await this.hass?.callWS(e)??null;i===this.loaded&&(this.tried=r)})},ds)}async load(){let t=`${this.entryId}/${this.unitId}`;clearTimeout(this.timer),this.loaded=t,this.draft=null,this.tried=null,this.past=[],this.said="",this.failed=this.snapshot,await this.attempt(async()=>{let e=await this.hass?.callWS({type:"apis/scenario",entry_id:this.entryId,unit_id:this.unitId});if(e===void 0||t!==this.loaded)return;this.failed=null,this.versions=e.versions,this.draft=F(e.scenario),this.saved=JSON.stringify(M(this.draft));let i=Bt.get(t);i?.saved===this.saved&&(this.draft=i.draft,this.past=i.past),this.ask()})}async save(){let t=this.draft;t===null||this.saving||(this.saving=!0,await this.attempt(async()=>{let e=await this.hass?.callWS({type:"apis/scenario",entry_id:this.entryId,unit_id:this.unitId});if(e!==void 0&&JSON.stringify(M(F(e.scenario)))!==this.saved)throw this.saved=JSON.stringify(M(F(e.scenario))),this.remember(),new Error(this.say("changed_meanwhile"));await this.hass?.callWS({type:"apis/set_scenario",entry_id:this.entryId,unit_id:this.unitId,scenario:M(t)}),Bt.delete(this.loaded),this.said=this.say("saved"),await this.reload()}),this.saving=!1)}async reload(){let t=this.loaded,e=await this.hass?.callWS({type:"apis/scenario",entry_id:this.entryId,unit_id:this.unitId});e===void 0||t!==this.loaded||(this.versions=e.versions,this.draft=F(e.scenario),this.saved=JSON.stringify(M(this.draft)),this.past=[],this.ask())}async attempt(t){try{await t(),this.trouble="",this.wrong=!1}catch(e){this.trouble=String(e.message??e),this.wrong=e.code==="bad_scenario"}}};g([v()],x.prototype,"unitId",2),g([v()],x.prototype,"draft",2),g([v()],x.prototype,"versions",2),g([v()],x.prototype,"past",2),g([v()],x.prototype,"tried",2),g([v()],x.prototype,"trouble",2),g([v()],x.prototype,"wrong",2),g([v()],x.prototype,"said",2),g([j("dialog")],x.prototype,"dialog",2),g([j("textarea")],x.prototype,"text",2),g([v()],x.prototype,"saving",2),g([v()],x.prototype,"dragged",2);var us=20,K=class n{static async generate(s,t){n.waits=!0;let e={views:[{title:"APIS",cards:[{type:"custom:apis-community-card",...s.entry_id===void 0?{}:{entry_id:s.entry_id}}]}]};try{let i=ot(await rt(t,!0),s.entry_id);if(i===void 0||!i.loaded)return e;let r=await ps(t,i.entry_id),o=await t.callWS({type:"apis/entities",entry_id:i.entry_id});return n.waits=r===null,{title:i.title,views:gs(t,i.entry_id,r,o)}}catch{return e}}static{this.waits=!1}static shouldRegenerate(s,t,e){let i=o=>Object.entries(o.entities??{}).flatMap(([a,l])=>l.platform==="apis"?[a]:[]),r=o=>i(o).filter(a=>(o.states[a]?.state??"unavailable")!=="unavailable").length;return i(t).length!==i(e).length||n.waits&&r(e)>r(t)}static getCreateSuggestions(){return{title:"APIS",icon:"mdi:home-battery"}}};function ps(n,s){return new Promise(t=>{let e=bt(n,s).listen(i=>{i!==null&&t(i)});setTimeout(()=>t(null),5e3),setTimeout(()=>e(),7e3)})}function ms(n,s,t){if(t===void 0)return[];let e=String(n.states[t]?.attributes.friendly_name??t);return[{entity:t,name:e.replace(s,"").replace(/^[\s▸]+/,"")||e}]}function gs(n,s,t,e){let i=m=>z(n.language,m),r=t?.units??[],o=(m,f={})=>({type:`custom:apis-${m}-card`,entry_id:s,...f}),a=(...m)=>({type:"grid",cards:m}),l=(...m)=>({type:"grid",column_span:2,cards:m}),d=e.entities,u=(m,f,$={})=>m===void 0?[]:[{type:"tile",entity:m,name:i(f),...$}],c=[...u(d.community_mode,"mode",{features:[{type:"select-options"}],grid_options:{columns:"full"}}),...u(d.energy_shared_today,"shared_today"),...u(d.self_sufficiency,"self_sufficiency"),...u(d.stop_all,"stop_all",{hide_state:!0,tap_action:{action:"more-info"},icon_tap_action:{action:"more-info"},grid_options:{columns:"full"}})],y=m=>r.map(f=>({entity:e.units[f.unit_id]?.entities[m],name:f.name})).filter(({entity:f})=>f!==void 0),_=(m,f)=>y(f).length===0?[]:[{type:"history-graph",title:m,hours_to_show:24,entities:y(f),grid_options:{columns:"full"}}],w=[{title:i("overview"),path:"overview",icon:"mdi:home-group",type:"sections",max_columns:3,sections:[l({...o("community"),grid_options:{columns:"full"}}),a(...c),l({...o("deals"),grid_options:{columns:"full"}})]},{title:i("houses"),path:"houses",icon:"mdi:home-battery",type:"sections",max_columns:3,sections:r.map(m=>a({...o("unit",{unit_id:m.unit_id,...r.length>us?{chart:!1}:{}}),grid_options:{columns:"full"}}))},{title:i("scenario"),path:"scenario",icon:"mdi:script-text",type:"sections",max_columns:2,sections:[l({...o("scenario"),grid_options:{columns:"full"}})]},{title:i("history"),path:"history",icon:"mdi:chart-line",type:"sections",max_columns:1,sections:[a(..._(i("battery"),"state_of_charge"),..._(i("line"),"grid_power"))]}];if(t?.isAdmin===!0){let m=["converter_mode","grid_voltage","grid_current","exchange_permitted","alarm","connectivity","last_error"],f=r.map($=>({type:"entities",title:$.name,entities:m.flatMap(Ie=>ms(n,$.name,e.units[$.unit_id]?.entities[Ie]))}));w.push({title:i("commissioning"),path:"commissioning",icon:"mdi:tools",type:"sections",max_columns:3,sections:f.map($=>a({...$,grid_options:{columns:"full"}}))})}return w}var fs=["follow","heteronomous","stop"],vs=["balanced","reserve","generous","self_use","storm"],ys=[["wait","wait"],["voltage_reference","voltage_reference_mode"],["charge","charge"],["discharge","discharge"]],_s={WAIT:"wait",CHARGE:"charge",DISCHARGE:"discharge",VOLTAGE_REFERENCE:"voltage_reference_mode"},V=class extends b{constructor(){super(...arguments);this.trouble="";this.chart=null;this.charted=""}static{this.styles=[E,A`
      .figures {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(92px, 1fr));
        gap: 10px;
        margin: 12px 0;
      }
      .figures div {
        display: flex;
        flex-direction: column;
      }
      .figures b {
        font-weight: 500;
        font-size: 1.1rem;
        font-variant-numeric: tabular-nums;
      }
      .low > div {
        background: var(--apis-give);
      }
      .deal {
        margin: 8px 0;
      }
      .day {
        margin-top: 8px;
      }
      dialog .row {
        margin-top: 12px;
      }
    `]}static getConfigForm(){return O("entry_id","unit_id","title","chart")}static getStubConfig(){return{}}getGridOptions(){return{columns:6,min_columns:4}}updated(){super.updated(),this.draw()}passed(){this.chart!==null&&(this.chart.hass=this.hass)}render(){let t=this.mine;return this.frame(t?.name??this.say("unit"),()=>t===void 0?h`<p class="note soft">${this.say("not_known")}</p>`:this.body(t),this.roles(t))}get mine(){return this.config.unit_id===void 0?this.snapshot?.units[0]:this.unit(this.config.unit_id)}roles(t){if(t===void 0)return p;let e=[t.is_grid_master?this.say("grid_master"):"",t.is_voltage_reference?this.say("voltage_reference"):""];return h`<span class="soft">${e.filter(Boolean).join(" · ")}</span>`}body(t){let e=t.state_of_charge_pct,i=e!==null&&t.request_below_pct!==null&&e<t.request_below_pct,r=(this.snapshot?.deals??[]).filter(l=>l.from===t.unit_id||l.to===t.unit_id),o=t.alive?_s[t.converter_mode??""]:"away",a=(l,d)=>h`<div><span class="soft">${this.say(l)}</span><b>${d}</b></div>`;return h`<div class="figures">
        ${a("battery",e===null?"–":`${at(this.hass,e,1)} %`)} ${t.solar_w===null?p:a("solar",R(this.hass,t.solar_w))}
        ${t.load_w===null?p:a("load",R(this.hass,t.load_w))} ${a("line",R(this.hass,t.grid_power_w===null?null:Math.abs(t.grid_power_w)))}
      </div>
      <div class="bar ${i?"low":""}" role="progressbar" aria-label=${this.say("battery")} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(e??0)}>
        <div style="width:${e??0}%"></div>
      </div>
      <p class="note">${o===void 0?this.say("not_known"):this.say(o)}${this.wishes(t)}</p>
      ${this.snapshot?.available===!1?p:h`<h3>${this.say("running")}</h3>
            ${r.length===0?h`<p class="note soft">${this.say("none_running")}</p>`:r.map(l=>this.deal(l,t))}`}
      ${this.chart===null?p:h`<h3>${this.say("today")}</h3><div class="day">${this.chart}</div>`} ${this.controls(t)}`}wishes(t){return t.wish===null?"":` · ${this.say(t.wish.direction==="charge"?"asks":"offers",{wh:t.wish.amountWh})}`}deal(t,e){let i=t.from===e.unit_id,{part:r,minutesLeft:o}=xe(t,this.unit(t.from)?.grid_voltage_v??null),a=this.nameOf(i?t.to:t.from),l=`${i?"→":"←"} ${a}`,d=o===null?this.named(t.state):this.say("left",{minutes:Math.ceil(o)});return h`<div class="deal">
      <div class="head"><span>${l}</span><span class="soft">${t.exchanged_wh.toFixed(0)} / ${t.amount_wh} Wh · ${d}</span></div>
      <div class="bar" role="progressbar" aria-label=${l} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(r*100)}><div style="width:${r*100}%"></div></div>
    </div>`}controls(t){let e=this.things?.units[t.unit_id]?.entities??{},i=t.local_mode??"follow",r=(o,a)=>o.map(l=>h`<option value=${l} ?selected=${l===a}>${this.named(l)}</option>`);return h`<div class="row note">
        <label>${this.say("own_mode")}
          <select .value=${J(i)} ?disabled=${!t.alive} @change=${o=>this.set(e.unit_mode,o)}>${r(fs,i)}</select>
        </label>
        <label>${this.say("preset")}
          <select .value=${J(t.preset??"custom")} ?disabled=${!t.alive} @change=${o=>this.set(e.scenario_preset,o)}>
            ${t.preset===null?h`<option value="custom" selected disabled>${this.say("custom")}</option>`:p} ${r(vs,t.preset??"")}
          </select>
        </label>
        ${this.isAdmin?h`<button @click=${()=>this.dialog?.showModal()}>${this.say("by_hand")}</button>`:p}
      </div>
      ${this.trouble===""?p:h`<p class="note bad" role="alert">${this.trouble}</p>`} ${this.isAdmin?this.hand(t):p}`}hand(t){let e=this.snapshot?.mode==="manual";return h`<dialog aria-label=${`${this.say("by_hand")}: ${t.name}`}>
      <h2>${this.say("by_hand")}: ${t.name}</h2>
      <p class=${e?"bad":"soft"}>${this.say(e?"by_hand_warning":"by_hand_only")}</p>
      <form method="dialog" @submit=${i=>this.command(i,t)}>
        <div class="row">
          <label>${this.say("action")}
            <select name="mode" ?disabled=${!e}>${ys.map(([i,r])=>h`<option value=${i}>${this.say(r)}</option>`)}</select>
          </label>
          <label>${this.say("current")} (A)<input name="current" type="number" min="0" max="10" step="0.1" ?disabled=${!e} /></label>
          <label>${this.say("voltage")} (V)<input name="voltage" type="number" min="0" max="425" step="1" ?disabled=${!e} /></label>
          <label>${this.say("minutes")} (min)<input name="minutes" type="number" min="1" max="60" value="5" ?disabled=${!e} /></label>
        </div>
        <div class="row">
          <button value="send" class="main" ?disabled=${!e}>${this.say("send")}</button>
          <button value="cancel" formnovalidate>${this.say("close")}</button>
        </div>
      </form>
    </dialog>`}async set(t,e){await this.attempt(()=>this.choose(t,e.target.value)),this.requestUpdate("trouble",null)}async command(t,e){if(t.submitter.value!=="send")return;let i=new FormData(t.target),r=l=>i.get(l)?Number(i.get(l)):void 0,o={device_id:this.things?.units[e.unit_id]?.device_id,mode:i.get("mode"),current_a:r("current"),voltage_v:r("voltage"),duration:{minutes:r("minutes")??5}},a=Object.fromEntries(Object.entries(o).filter(([,l])=>l!==void 0));await this.attempt(()=>this.hass?.callService("apis","control_converter",a))}async attempt(t){try{this.trouble="",await t()}catch(e){this.trouble=e instanceof Error?e.message:String(e.message??e)}}async draw(){let t=this.mine,e=this.things?.units[t?.unit_id??""]?.entities;if(t===void 0||e===void 0||this.charted===t.unit_id||this.config.chart===!1||window.loadCardHelpers===void 0||(this.charted=t.unit_id,e.state_of_charge===void 0))return;let i=await window.loadCardHelpers();this.chart=i.createCardElement({type:"history-graph",hours_to_show:24,entities:[{entity:e.state_of_charge,name:this.say("battery")}]})}};g([v()],V.prototype,"trouble",2),g([v()],V.prototype,"chart",2),g([j("dialog")],V.prototype,"dialog",2);var ws=[{type:"apis-community-card",card:q,name:"APIS community",description:"Who gives energy to whom: houses on one line, as it happens"},{type:"apis-unit-card",card:V,name:"APIS house",description:"One house: battery, converter, running deals, its day, and what may be set"},{type:"apis-deals-card",card:S,name:"APIS deals",description:"Every deal of some days, to look through and to take away"},{type:"apis-scenario-card",card:x,name:"APIS scenario",description:"What a house wants at each time of the day, tried before it is saved"}];window.customCards??=[];for(let{type:n,card:s,name:t,description:e}of ws)customElements.get(n)===void 0&&customElements.define(n,s),window.customCards.push({type:n,name:t,description:e,preview:!0});customElements.get("ll-strategy-dashboard-apis")===void 0&&customElements.define("ll-strategy-dashboard-apis",class extends HTMLElement{static{this.generate=K.generate}static{this.shouldRegenerate=K.shouldRegenerate}static{this.getCreateSuggestions=K.getCreateSuggestions}});window.customStrategies??=[];window.customStrategies.push({type:"apis",strategyType:"dashboard",name:"APIS",description:"A community: what happens now, every house, history and commissioning"});
