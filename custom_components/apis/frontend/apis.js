var pe=Object.defineProperty;var ue=Object.getOwnPropertyDescriptor;var m=(n,s,t,e)=>{for(var i=e>1?void 0:e?ue(s,t):s,r=n.length-1,o;r>=0;r--)(o=n[r])&&(i=(e?o(s,t,i):o(i))||i);return e&&i&&pe(s,t,i),i};var et=globalThis,st=et.ShadowRoot&&(et.ShadyCSS===void 0||et.ShadyCSS.nativeShadow)&&"adoptedStyleSheets"in Document.prototype&&"replace"in CSSStyleSheet.prototype,ut=Symbol(),Pt=new WeakMap,F=class{constructor(s,t,e){if(this._$cssResult$=!0,e!==ut)throw Error("CSSResult is not constructable. Use `unsafeCSS` or `css` instead.");this.cssText=s,this.t=t}get styleSheet(){let s=this.o,t=this.t;if(st&&s===void 0){let e=t!==void 0&&t.length===1;e&&(s=Pt.get(t)),s===void 0&&((this.o=s=new CSSStyleSheet).replaceSync(this.cssText),e&&Pt.set(t,s))}return s}toString(){return this.cssText}},Rt=n=>new F(typeof n=="string"?n:n+"",void 0,ut),S=(n,...s)=>{let t=n.length===1?n[0]:s.reduce((e,i,r)=>e+(o=>{if(o._$cssResult$===!0)return o.cssText;if(typeof o=="number")return o;throw Error("Value passed to 'css' function must be a 'css' function result: "+o+". Use 'unsafeCSS' to pass non-literal values, but take care to ensure page security.")})(i)+n[r+1],n[0]);return new F(t,n,ut)},Mt=(n,s)=>{if(st)n.adoptedStyleSheets=s.map(t=>t instanceof CSSStyleSheet?t:t.styleSheet);else for(let t of s){let e=document.createElement("style"),i=et.litNonce;i!==void 0&&e.setAttribute("nonce",i),e.textContent=t.cssText,n.appendChild(e)}},mt=st?n=>n:n=>n instanceof CSSStyleSheet?(s=>{let t="";for(let e of s.cssRules)t+=e.cssText;return Rt(t)})(n):n;var{is:me,defineProperty:ge,getOwnPropertyDescriptor:fe,getOwnPropertyNames:ye,getOwnPropertySymbols:ve,getPrototypeOf:_e}=Object,it=globalThis,Tt=it.trustedTypes,$e=Tt?Tt.emptyScript:"",we=it.reactiveElementPolyfillSupport,B=(n,s)=>n,V={toAttribute(n,s){switch(s){case Boolean:n=n?$e:null;break;case Object:case Array:n=n==null?n:JSON.stringify(n)}return n},fromAttribute(n,s){let t=n;switch(s){case Boolean:t=n!==null;break;case Number:t=n===null?null:Number(n);break;case Object:case Array:try{t=JSON.parse(n)}catch{t=null}}return t}},nt=(n,s)=>!me(n,s),Wt={attribute:!0,type:String,converter:V,reflect:!1,useDefault:!1,hasChanged:nt};Symbol.metadata??=Symbol("metadata"),it.litPropertyMetadata??=new WeakMap;var E=class extends HTMLElement{static addInitializer(s){this._$Ei(),(this.l??=[]).push(s)}static get observedAttributes(){return this.finalize(),this._$Eh&&[...this._$Eh.keys()]}static createProperty(s,t=Wt){if(t.state&&(t.attribute=!1),this._$Ei(),this.prototype.hasOwnProperty(s)&&((t=Object.create(t)).wrapped=!0),this.elementProperties.set(s,t),!t.noAccessor){let e=Symbol(),i=this.getPropertyDescriptor(s,e,t);i!==void 0&&ge(this.prototype,s,i)}}static getPropertyDescriptor(s,t,e){let{get:i,set:r}=fe(this.prototype,s)??{get(){return this[t]},set(o){this[t]=o}};return{get:i,set(o){let a=i?.call(this);r?.call(this,o),this.requestUpdate(s,a,e)},configurable:!0,enumerable:!0}}static getPropertyOptions(s){return this.elementProperties.get(s)??Wt}static _$Ei(){if(this.hasOwnProperty(B("elementProperties")))return;let s=_e(this);s.finalize(),s.l!==void 0&&(this.l=[...s.l]),this.elementProperties=new Map(s.elementProperties)}static finalize(){if(this.hasOwnProperty(B("finalized")))return;if(this.finalized=!0,this._$Ei(),this.hasOwnProperty(B("properties"))){let t=this.properties,e=[...ye(t),...ve(t)];for(let i of e)this.createProperty(i,t[i])}let s=this[Symbol.metadata];if(s!==null){let t=litPropertyMetadata.get(s);if(t!==void 0)for(let[e,i]of t)this.elementProperties.set(e,i)}this._$Eh=new Map;for(let[t,e]of this.elementProperties){let i=this._$Eu(t,e);i!==void 0&&this._$Eh.set(i,t)}this.elementStyles=this.finalizeStyles(this.styles)}static finalizeStyles(s){let t=[];if(Array.isArray(s)){let e=new Set(s.flat(1/0).reverse());for(let i of e)t.unshift(mt(i))}else s!==void 0&&t.push(mt(s));return t}static _$Eu(s,t){let e=t.attribute;return e===!1?void 0:typeof e=="string"?e:typeof s=="string"?s.toLowerCase():void 0}constructor(){super(),this._$Ep=void 0,this.isUpdatePending=!1,this.hasUpdated=!1,this._$Em=null,this._$Ev()}_$Ev(){this._$ES=new Promise(s=>this.enableUpdating=s),this._$AL=new Map,this._$E_(),this.requestUpdate(),this.constructor.l?.forEach(s=>s(this))}addController(s){(this._$EO??=new Set).add(s),this.renderRoot!==void 0&&this.isConnected&&s.hostConnected?.()}removeController(s){this._$EO?.delete(s)}_$E_(){let s=new Map,t=this.constructor.elementProperties;for(let e of t.keys())this.hasOwnProperty(e)&&(s.set(e,this[e]),delete this[e]);s.size>0&&(this._$Ep=s)}createRenderRoot(){let s=this.shadowRoot??this.attachShadow(this.constructor.shadowRootOptions);return Mt(s,this.constructor.elementStyles),s}connectedCallback(){this.renderRoot??=this.createRenderRoot(),this.enableUpdating(!0),this._$EO?.forEach(s=>s.hostConnected?.())}enableUpdating(s){}disconnectedCallback(){this._$EO?.forEach(s=>s.hostDisconnected?.())}attributeChangedCallback(s,t,e){this._$AK(s,e)}_$ET(s,t){let e=this.constructor.elementProperties.get(s),i=this.constructor._$Eu(s,e);if(i!==void 0&&e.reflect===!0){let r=(e.converter?.toAttribute!==void 0?e.converter:V).toAttribute(t,e.type);this._$Em=s,r==null?this.removeAttribute(i):this.setAttribute(i,r),this._$Em=null}}_$AK(s,t){let e=this.constructor,i=e._$Eh.get(s);if(i!==void 0&&this._$Em!==i){let r=e.getPropertyOptions(i),o=typeof r.converter=="function"?{fromAttribute:r.converter}:r.converter?.fromAttribute!==void 0?r.converter:V;this._$Em=i;let a=o.fromAttribute(t,r.type);this[i]=a??this._$Ej?.get(i)??a,this._$Em=null}}requestUpdate(s,t,e,i=!1,r){if(s!==void 0){let o=this.constructor;if(i===!1&&(r=this[s]),e??=o.getPropertyOptions(s),!((e.hasChanged??nt)(r,t)||e.useDefault&&e.reflect&&r===this._$Ej?.get(s)&&!this.hasAttribute(o._$Eu(s,e))))return;this.C(s,t,e)}this.isUpdatePending===!1&&(this._$ES=this._$EP())}C(s,t,{useDefault:e,reflect:i,wrapped:r},o){e&&!(this._$Ej??=new Map).has(s)&&(this._$Ej.set(s,o??t??this[s]),r!==!0||o!==void 0)||(this._$AL.has(s)||(this.hasUpdated||e||(t=void 0),this._$AL.set(s,t)),i===!0&&this._$Em!==s&&(this._$Eq??=new Set).add(s))}async _$EP(){this.isUpdatePending=!0;try{await this._$ES}catch(t){Promise.reject(t)}let s=this.scheduleUpdate();return s!=null&&await s,!this.isUpdatePending}scheduleUpdate(){return this.performUpdate()}performUpdate(){if(!this.isUpdatePending)return;if(!this.hasUpdated){if(this.renderRoot??=this.createRenderRoot(),this._$Ep){for(let[i,r]of this._$Ep)this[i]=r;this._$Ep=void 0}let e=this.constructor.elementProperties;if(e.size>0)for(let[i,r]of e){let{wrapped:o}=r,a=this[i];o!==!0||this._$AL.has(i)||a===void 0||this.C(i,void 0,r,a)}}let s=!1,t=this._$AL;try{s=this.shouldUpdate(t),s?(this.willUpdate(t),this._$EO?.forEach(e=>e.hostUpdate?.()),this.update(t)):this._$EM()}catch(e){throw s=!1,this._$EM(),e}s&&this._$AE(t)}willUpdate(s){}_$AE(s){this._$EO?.forEach(t=>t.hostUpdated?.()),this.hasUpdated||(this.hasUpdated=!0,this.firstUpdated(s)),this.updated(s)}_$EM(){this._$AL=new Map,this.isUpdatePending=!1}get updateComplete(){return this.getUpdateComplete()}getUpdateComplete(){return this._$ES}shouldUpdate(s){return!0}update(s){this._$Eq&&=this._$Eq.forEach(t=>this._$ET(t,this[t])),this._$EM()}updated(s){}firstUpdated(s){}};E.elementStyles=[],E.shadowRootOptions={mode:"open"},E[B("elementProperties")]=new Map,E[B("finalized")]=new Map,we?.({ReactiveElement:E}),(it.reactiveElementVersions??=[]).push("2.1.2");var wt=globalThis,Ct=n=>n,rt=wt.trustedTypes,Ot=rt?rt.createPolicy("lit-html",{createHTML:n=>n}):void 0,Lt="$lit$",R=`lit$${Math.random().toFixed(9).slice(2)}$`,jt="?"+R,be=`<${jt}>`,C=document,J=()=>C.createComment(""),Y=n=>n===null||typeof n!="object"&&typeof n!="function",bt=Array.isArray,xe=n=>bt(n)||typeof n?.[Symbol.iterator]=="function",gt=`[ 	
\f\r]`,G=/<(?:(!--|\/[^a-zA-Z])|(\/?[a-zA-Z][^>\s]*)|(\/?$))/g,Dt=/-->/g,It=/>/g,T=RegExp(`>|${gt}(?:([^\\s"'>=/]+)(${gt}*=${gt}*(?:[^ 	
\f\r"'\`<>=]|("|')|))|$)`,"g"),Ht=/'/g,Ut=/"/g,zt=/^(?:script|style|textarea|title)$/i,xt=n=>(s,...t)=>({_$litType$:n,strings:s,values:t}),h=xt(1),D=xt(2),Ze=xt(3),O=Symbol.for("lit-noChange"),u=Symbol.for("lit-nothing"),Nt=new WeakMap,W=C.createTreeWalker(C,129);function qt(n,s){if(!bt(n)||!n.hasOwnProperty("raw"))throw Error("invalid template strings array");return Ot!==void 0?Ot.createHTML(s):s}var Se=(n,s)=>{let t=n.length-1,e=[],i,r=s===2?"<svg>":s===3?"<math>":"",o=G;for(let a=0;a<t;a++){let l=n[a],d,c,p=-1,y=0;for(;y<l.length&&(o.lastIndex=y,c=o.exec(l),c!==null);)y=o.lastIndex,o===G?c[1]==="!--"?o=Dt:c[1]!==void 0?o=It:c[2]!==void 0?(zt.test(c[2])&&(i=RegExp("</"+c[2],"g")),o=T):c[3]!==void 0&&(o=T):o===T?c[0]===">"?(o=i??G,p=-1):c[1]===void 0?p=-2:(p=o.lastIndex-c[2].length,d=c[1],o=c[3]===void 0?T:c[3]==='"'?Ut:Ht):o===Ut||o===Ht?o=T:o===Dt||o===It?o=G:(o=T,i=void 0);let $=o===T&&n[a+1].startsWith("/>")?" ":"";r+=o===G?l+be:p>=0?(e.push(d),l.slice(0,p)+Lt+l.slice(p)+R+$):l+R+(p===-2?a:$)}return[qt(n,r+(n[t]||"<?>")+(s===2?"</svg>":s===3?"</math>":"")),e]},K=class n{constructor({strings:s,_$litType$:t},e){let i;this.parts=[];let r=0,o=0,a=s.length-1,l=this.parts,[d,c]=Se(s,t);if(this.el=n.createElement(d,e),W.currentNode=this.el.content,t===2||t===3){let p=this.el.content.firstChild;p.replaceWith(...p.childNodes)}for(;(i=W.nextNode())!==null&&l.length<a;){if(i.nodeType===1){if(i.hasAttributes())for(let p of i.getAttributeNames())if(p.endsWith(Lt)){let y=c[o++],$=i.getAttribute(p).split(R),_=/([.?@])?(.*)/.exec(y);l.push({type:1,index:r,name:_[2],strings:$,ctor:_[1]==="."?yt:_[1]==="?"?vt:_[1]==="@"?_t:j}),i.removeAttribute(p)}else p.startsWith(R)&&(l.push({type:6,index:r}),i.removeAttribute(p));if(zt.test(i.tagName)){let p=i.textContent.split(R),y=p.length-1;if(y>0){i.textContent=rt?rt.emptyScript:"";for(let $=0;$<y;$++)i.append(p[$],J()),W.nextNode(),l.push({type:2,index:++r});i.append(p[y],J())}}}else if(i.nodeType===8)if(i.data===jt)l.push({type:2,index:r});else{let p=-1;for(;(p=i.data.indexOf(R,p+1))!==-1;)l.push({type:7,index:r}),p+=R.length-1}r++}}static createElement(s,t){let e=C.createElement("template");return e.innerHTML=s,e}};function L(n,s,t=n,e){if(s===O)return s;let i=e!==void 0?t._$Co?.[e]:t._$Cl,r=Y(s)?void 0:s._$litDirective$;return i?.constructor!==r&&(i?._$AO?.(!1),r===void 0?i=void 0:(i=new r(n),i._$AT(n,t,e)),e!==void 0?(t._$Co??=[])[e]=i:t._$Cl=i),i!==void 0&&(s=L(n,i._$AS(n,s.values),i,e)),s}var ft=class{constructor(s,t){this._$AV=[],this._$AN=void 0,this._$AD=s,this._$AM=t}get parentNode(){return this._$AM.parentNode}get _$AU(){return this._$AM._$AU}u(s){let{el:{content:t},parts:e}=this._$AD,i=(s?.creationScope??C).importNode(t,!0);W.currentNode=i;let r=W.nextNode(),o=0,a=0,l=e[0];for(;l!==void 0;){if(o===l.index){let d;l.type===2?d=new X(r,r.nextSibling,this,s):l.type===1?d=new l.ctor(r,l.name,l.strings,this,s):l.type===6&&(d=new $t(r,this,s)),this._$AV.push(d),l=e[++a]}o!==l?.index&&(r=W.nextNode(),o++)}return W.currentNode=C,i}p(s){let t=0;for(let e of this._$AV)e!==void 0&&(e.strings!==void 0?(e._$AI(s,e,t),t+=e.strings.length-2):e._$AI(s[t])),t++}},X=class n{get _$AU(){return this._$AM?._$AU??this._$Cv}constructor(s,t,e,i){this.type=2,this._$AH=u,this._$AN=void 0,this._$AA=s,this._$AB=t,this._$AM=e,this.options=i,this._$Cv=i?.isConnected??!0}get parentNode(){let s=this._$AA.parentNode,t=this._$AM;return t!==void 0&&s?.nodeType===11&&(s=t.parentNode),s}get startNode(){return this._$AA}get endNode(){return this._$AB}_$AI(s,t=this){s=L(this,s,t),Y(s)?s===u||s==null||s===""?(this._$AH!==u&&this._$AR(),this._$AH=u):s!==this._$AH&&s!==O&&this._(s):s._$litType$!==void 0?this.$(s):s.nodeType!==void 0?this.T(s):xe(s)?this.k(s):this._(s)}O(s){return this._$AA.parentNode.insertBefore(s,this._$AB)}T(s){this._$AH!==s&&(this._$AR(),this._$AH=this.O(s))}_(s){this._$AH!==u&&Y(this._$AH)?this._$AA.nextSibling.data=s:this.T(C.createTextNode(s)),this._$AH=s}$(s){let{values:t,_$litType$:e}=s,i=typeof e=="number"?this._$AC(s):(e.el===void 0&&(e.el=K.createElement(qt(e.h,e.h[0]),this.options)),e);if(this._$AH?._$AD===i)this._$AH.p(t);else{let r=new ft(i,this),o=r.u(this.options);r.p(t),this.T(o),this._$AH=r}}_$AC(s){let t=Nt.get(s.strings);return t===void 0&&Nt.set(s.strings,t=new K(s)),t}k(s){bt(this._$AH)||(this._$AH=[],this._$AR());let t=this._$AH,e,i=0;for(let r of s)i===t.length?t.push(e=new n(this.O(J()),this.O(J()),this,this.options)):e=t[i],e._$AI(r),i++;i<t.length&&(this._$AR(e&&e._$AB.nextSibling,i),t.length=i)}_$AR(s=this._$AA.nextSibling,t){for(this._$AP?.(!1,!0,t);s!==this._$AB;){let e=Ct(s).nextSibling;Ct(s).remove(),s=e}}setConnected(s){this._$AM===void 0&&(this._$Cv=s,this._$AP?.(s))}},j=class{get tagName(){return this.element.tagName}get _$AU(){return this._$AM._$AU}constructor(s,t,e,i,r){this.type=1,this._$AH=u,this._$AN=void 0,this.element=s,this.name=t,this._$AM=i,this.options=r,e.length>2||e[0]!==""||e[1]!==""?(this._$AH=Array(e.length-1).fill(new String),this.strings=e):this._$AH=u}_$AI(s,t=this,e,i){let r=this.strings,o=!1;if(r===void 0)s=L(this,s,t,0),o=!Y(s)||s!==this._$AH&&s!==O,o&&(this._$AH=s);else{let a=s,l,d;for(s=r[0],l=0;l<r.length-1;l++)d=L(this,a[e+l],t,l),d===O&&(d=this._$AH[l]),o||=!Y(d)||d!==this._$AH[l],d===u?s=u:s!==u&&(s+=(d??"")+r[l+1]),this._$AH[l]=d}o&&!i&&this.j(s)}j(s){s===u?this.element.removeAttribute(this.name):this.element.setAttribute(this.name,s??"")}},yt=class extends j{constructor(){super(...arguments),this.type=3}j(s){this.element[this.name]=s===u?void 0:s}},vt=class extends j{constructor(){super(...arguments),this.type=4}j(s){this.element.toggleAttribute(this.name,!!s&&s!==u)}},_t=class extends j{constructor(s,t,e,i,r){super(s,t,e,i,r),this.type=5}_$AI(s,t=this){if((s=L(this,s,t,0)??u)===O)return;let e=this._$AH,i=s===u&&e!==u||s.capture!==e.capture||s.once!==e.once||s.passive!==e.passive,r=s!==u&&(e===u||i);i&&this.element.removeEventListener(this.name,this,e),r&&this.element.addEventListener(this.name,this,s),this._$AH=s}handleEvent(s){typeof this._$AH=="function"?this._$AH.call(this.options?.host??this.element,s):this._$AH.handleEvent(s)}},$t=class{constructor(s,t,e){this.element=s,this.type=6,this._$AN=void 0,this._$AM=t,this.options=e}get _$AU(){return this._$AM._$AU}_$AI(s){L(this,s)}};var ke=wt.litHtmlPolyfillSupport;ke?.(K,X),(wt.litHtmlVersions??=[]).push("3.3.3");var Ft=(n,s,t)=>{let e=t?.renderBefore??s,i=e._$litPart$;if(i===void 0){let r=t?.renderBefore??null;e._$litPart$=i=new X(s.insertBefore(J(),r),r,void 0,t??{})}return i._$AI(n),i};var St=globalThis,M=class extends E{constructor(){super(...arguments),this.renderOptions={host:this},this._$Do=void 0}createRenderRoot(){let s=super.createRenderRoot();return this.renderOptions.renderBefore??=s.firstChild,s}update(s){let t=this.render();this.hasUpdated||(this.renderOptions.isConnected=this.isConnected),super.update(s),this._$Do=Ft(t,this.renderRoot,this.renderOptions)}connectedCallback(){super.connectedCallback(),this._$Do?.setConnected(!0)}disconnectedCallback(){super.disconnectedCallback(),this._$Do?.setConnected(!1)}render(){return O}};M._$litElement$=!0,M.finalized=!0,St.litElementHydrateSupport?.({LitElement:M});var Ae=St.litElementPolyfillSupport;Ae?.({LitElement:M});(St.litElementVersions??=[]).push("4.2.2");var Ee={attribute:!0,type:String,converter:V,reflect:!1,hasChanged:nt},Pe=(n=Ee,s,t)=>{let{kind:e,metadata:i}=t,r=globalThis.litPropertyMetadata.get(i);if(r===void 0&&globalThis.litPropertyMetadata.set(i,r=new Map),e==="setter"&&((n=Object.create(n)).wrapped=!0),r.set(t.name,n),e==="accessor"){let{name:o}=t;return{set(a){let l=s.get.call(this);s.set.call(this,a),this.requestUpdate(o,l,n,!0,a)},init(a){return a!==void 0&&this.C(o,void 0,n,a),a}}}if(e==="setter"){let{name:o}=t;return function(a){let l=this[o];s.call(this,a),this.requestUpdate(o,l,n,!0,a)}}throw Error("Unsupported decorator location: "+e)};function ot(n){return(s,t)=>typeof t=="object"?Pe(n,s,t):((e,i,r)=>{let o=i.hasOwnProperty(r);return i.constructor.createProperty(r,e),o?Object.getOwnPropertyDescriptor(i,r):void 0})(n,s,t)}function f(n){return ot({...n,state:!0,attribute:!1})}var I=(n,s,t)=>(t.configurable=!0,t.enumerable=!0,Reflect.decorate&&typeof s!="object"&&Object.defineProperty(n,s,t),t);function H(n,s){return(t,e,i)=>{let r=o=>o.renderRoot?.querySelector(n)??null;if(s){let{get:o,set:a}=typeof e=="object"?t:i??(()=>{let l=Symbol();return{get(){return this[l]},set(d){this[l]=d}}})();return I(t,e,{get(){let l=o.call(this);return l===void 0&&(l=r(this),(l!==null||this.hasUpdated)&&a.call(this,l)),l}})}return I(t,e,{get(){return r(this)}})}}var kt=class{constructor(s,t){this.hass=s;this.entryId=t;this.listeners=new Set;this.end=null;this.last=null;this.things=null;this.known=""}listen(s){return this.listeners.add(s),this.end===null?this.open():s(this.last),()=>{this.listeners.delete(s),this.listeners.size===0&&this.close()}}async all(){let s=(this.last?.units??[]).map(t=>t.unit_id).join();return(this.things===null||s!==this.known)&&(this.known=s,this.things=this.hass.callWS({type:"apis/entities",entry_id:this.entryId})),this.things}open(){let s=t=>{t.kind==="snapshot"&&t.snapshot!==void 0&&this.tell(t.snapshot)};this.end=this.hass.connection.subscribeMessage(s,{type:"apis/subscribe",entry_id:this.entryId}),this.end.catch(()=>{this.end=null,this.tell(null)})}tell(s){this.last=s;for(let t of this.listeners)t(s)}close(){let s=this.end;this.end=null,this.last=null,s?.then(t=>t()).catch(()=>{})}},Bt=new Map;function at(n,s){let t=Bt.get(s);return t===void 0&&(t=new kt(n,s),Bt.set(s,t)),t}var Z=null;function lt(n,s=!1){return(Z===null||s)&&(Z=n.callWS({type:"apis/communities"}),Z.catch(()=>Z=null)),Z}var A=S`
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
`;var Vt={community:"Community",unit:"House",deals:"Deals",scenario:"Scenario",grid_master:"Grid Master",voltage_reference:"holds the line's voltage",solar:"Sun",load:"Load",battery:"Battery",line:"Line",charge:"charges",discharge:"gives",wait:"waits",voltage_reference_mode:"holds the line",away:"does not answer",asks:"asks for {wh} Wh",offers:"offers {wh} Wh",shares_now:"{from} gives {watts} W to {to}",nobody_shares:"Nobody shares now.",deals_running:"{count} deals are running",one_deal_runs:"1 deal is running",no_community:"There is no community to show. Add one under Settings > Devices & services > APIS.",not_available:"The community does not answer now.",stopped:"Stopped in an emergency: {reason}",accelerated:"time × {factor}",arrange:"Arrange houses",arrange_done:"Done",arrange_again:"Automatic",arrange_hint:"Drag a house, or move it with the arrow keys.",mode:"Mode",autonomous:"Autonomous",heteronomous:"Finish deals, start none",stop:"Stop",manual:"Manual",follow:"As the community",own_mode:"This house",preset:"Scenario",balanced:"Balanced",reserve:"Reserve",generous:"Generous",self_use:"Self-use",storm:"Storm",custom:"Its own",today:"Today",running:"Running deals",none_running:"No deal is running.",left:"{minutes} min left",received:"received",shared:"shared",by_hand:"Control by hand",by_hand_only:"Set the community's mode to Manual to control converters by hand.",by_hand_warning:"Real current flows. Hold the line's voltage with one converter before you let another one charge or give.",action:"What it does",current:"Current",voltage:"Line voltage",minutes:"For how long",send:"Send",close:"Close",cancel:"Cancel",from:"From",to:"To",all_houses:"All houses",all_states:"All states",state:"State",created:"Created",started:"Started",completed:"Completed",aborted:"Ended early",giver:"Gives",taker:"Receives",energy:"Energy",price:"Points",time:"Time",no_deals:"No deals in this time.",stop_deal:"Stop this deal",ended:"Ended",reason:"Reason",agreed:"Agreed",exchanged:"Exchanged",csv:"CSV",json:"JSON",save:"Save",undo:"Undo",saved:"Saved.",unsaved:"Not saved yet",import:"Read JSON",export:"Copy JSON",apply:"Use it",versions:"Versions",restore:"Show",add_band:"Add a part of the day",remove_band:"Remove this part of the day",begins:"Begins",ends:"Ends",request:"asks",accept:"accepts",up_to:"up to",down_to:"down to",points_per_wh:"points per Wh",charge_wish:"to charge",discharge_wish:"to give",preview_now:"Now this house would: {what}",preview_asks_charge:"ask for {wh} Wh at {points} points",preview_asks_discharge:"offer {wh} Wh at {points} points",preview_accepts_charge:"accept to charge {wh} Wh at {points} points",preview_accepts_discharge:"accept to give {wh} Wh at {points} points",preview_nothing:"neither ask nor accept",any_price:"any number of",boundary:"Boundary of {status}",overview:"Overview",houses:"Houses",history:"History",commissioning:"Commissioning",choose_house:"House",not_known:"not known",stop_all:"Stop all",shared_today:"Shared today",self_sufficiency:"Self-sufficiency today"},Re={community:"コミュニティ",unit:"家",deals:"取引",scenario:"シナリオ",grid_master:"グリッドマスター",voltage_reference:"線路の電圧を保持",solar:"太陽光",load:"消費",battery:"蓄電池",line:"線路",charge:"充電中",discharge:"送電中",wait:"待機中",voltage_reference_mode:"線路を保持",away:"応答がありません",asks:"{wh} Wh を希望",offers:"{wh} Wh を提供",shares_now:"{from} から {to} へ {watts} W",nobody_shares:"今は融通していません。",deals_running:"{count} 件の取引が進行中",one_deal_runs:"1 件の取引が進行中",no_community:"表示するコミュニティがありません。「設定 > デバイスとサービス > APIS」で追加してください。",not_available:"コミュニティが応答しません。",stopped:"緊急停止中：{reason}",accelerated:"時間 × {factor}",arrange:"家を並べ替える",arrange_done:"完了",arrange_again:"自動配置",arrange_hint:"家をドラッグするか、矢印キーで動かします。",mode:"モード",autonomous:"自律",heteronomous:"新しい取引を始めない",stop:"停止",manual:"手動",follow:"コミュニティに従う",own_mode:"この家",preset:"シナリオ",balanced:"バランス",reserve:"備え重視",generous:"分け合い重視",self_use:"自家消費",storm:"嵐への備え",custom:"独自",today:"今日",running:"進行中の取引",none_running:"進行中の取引はありません。",left:"残り {minutes} 分",received:"受電",shared:"送電",by_hand:"手動で操作",by_hand_only:"コンバーターを手動で操作するには、コミュニティのモードを「手動」にしてください。",by_hand_warning:"実際に電流が流れます。ほかのコンバーターで充放電する前に、1台で線路の電圧を保持してください。",action:"動作",current:"電流",voltage:"線路電圧",minutes:"時間",send:"実行",close:"閉じる",cancel:"キャンセル",from:"開始",to:"終了",all_houses:"すべての家",all_states:"すべての状態",state:"状態",created:"成立",started:"進行中",completed:"完了",aborted:"途中終了",giver:"送る家",taker:"受ける家",energy:"電力量",price:"ポイント",time:"時刻",no_deals:"この期間の取引はありません。",stop_deal:"この取引を止める",ended:"終了",reason:"理由",agreed:"約束した量",exchanged:"融通した量",csv:"CSV",json:"JSON",save:"保存",undo:"元に戻す",saved:"保存しました。",unsaved:"未保存",import:"JSON を読み込む",export:"JSON をコピー",apply:"使う",versions:"履歴",restore:"表示",add_band:"時間帯を追加",remove_band:"この時間帯を削除",begins:"開始",ends:"終了",request:"求める",accept:"受け入れる",up_to:"上限",down_to:"下限",points_per_wh:"ポイント/Wh",charge_wish:"充電",discharge_wish:"送電",preview_now:"今この家は：{what}",preview_asks_charge:"{wh} Wh を {points} ポイントで求めます",preview_asks_discharge:"{wh} Wh を {points} ポイントで提供します",preview_accepts_charge:"{wh} Wh の充電を {points} ポイントで受け入れます",preview_accepts_discharge:"{wh} Wh の送電を {points} ポイントで受け入れます",preview_nothing:"求めも受け入れもしません",any_price:"任意の",boundary:"{status} の境界",overview:"概要",houses:"家",history:"履歴",commissioning:"試運転",choose_house:"家",not_known:"不明",stop_all:"すべて停止",shared_today:"今日の融通量",self_sufficiency:"今日の自給率"};function Q(n,s,t={}){return(n?.startsWith("ja")?Re:Vt)[s].replace(/\{(\w+)\}/g,(i,r)=>String(t[r]??i))}function Gt(n,s){return s!==null&&s in Vt?Q(n,s):s??""}var w=class extends M{constructor(){super(...arguments);this.config={type:""};this.snapshot=null;this.things=null;this.sought=!1;this.entryId="";this.release=null;this.opening=!1}static{this.styles=[A]}setConfig(t){if(typeof t!="object")throw new Error("expected the card's options");this.config=t,this.let_go()}getCardSize(){return 6}connectedCallback(){super.connectedCallback(),this.open()}disconnectedCallback(){super.disconnectedCallback(),this.let_go()}updated(){this.open()}say(t,e={}){return Q(this.hass?.language,t,e)}named(t){return Gt(this.hass?.language,t)}get isAdmin(){return this.snapshot?.isAdmin??!1}unit(t){return this.snapshot?.units.find(e=>e.unit_id===t)}nameOf(t){return this.unit(t)?.name??t}frame(t,e,i=u){let r=this.snapshot;return h`<ha-card>
      <div class="head">
        <h2>${this.config.title??t}</h2>
        ${r===null?u:i}
      </div>
      ${r===null?h`<p class="note soft">${this.sought?this.say("no_community"):"…"}</p>`:h`${r.available?u:h`<p class="note bad" role="status">${this.say("not_available")}</p>`}
            ${r.alert===null?u:h`<p class="note bad" role="alert">${this.say("stopped",{reason:r.alert})}</p>`} ${e()}`}
    </ha-card>`}async choose(t,e){t!==void 0&&await this.hass?.callService("select","select_option",{option:e},{entity_id:t})}let_go(){this.release?.(),this.release=null,this.snapshot=null}async open(){let t=this.hass;if(!(t===void 0||this.release!==null||this.opening||!this.isConnected)){this.opening=!0;try{let e=await lt(t),i=e.find(o=>o.entry_id===this.config.entry_id)??e[0];if(this.sought=!0,i===void 0||!this.isConnected)return;this.entryId=i.entry_id;let r=at(t,i.entry_id);this.release=r.listen(o=>{this.snapshot=o,o!==null&&r.all().then(a=>this.things=a)})}finally{this.opening=!1}}}};m([ot({attribute:!1})],w.prototype,"hass",2),m([f()],w.prototype,"config",2),m([f()],w.prototype,"snapshot",2),m([f()],w.prototype,"things",2),m([f()],w.prototype,"sought",2);function P(n){return n===null?"–":`${Math.round(n).toLocaleString()} W`}function Jt(n,s){let t=Math.max(280,s);if(n<=8){let d=Math.max(44,Math.min(84,t/(n<=4?5:6.5))),c=Math.min(t,n<=2?d*3:Math.max(d*4.4,Math.min(t*.66,440))),p=t/2-d*.75,y=c/2-d*.8,$=Array.from({length:n},(_,g)=>{let v=g/n*2*Math.PI-(n===2?Math.PI:Math.PI/2);return{x:t/2+p*Math.cos(v),y:c/2-d*.1+y*Math.sin(v)}});return{width:t,height:c,size:d,points:$}}let e=Math.max(3,Math.min(n,Math.floor(t/(n>40?58:76)))),i=t/e,r=Math.min(60,i*.62),o=Math.ceil(n/e),a=r*1.75,l=Array.from({length:n},(d,c)=>{let p=Math.floor(c/e),y=p===o-1?n-p*e:e;return{x:t/2+(c%e-(y-1)/2)*t/e,y:r*.8+p*a}});return{width:t,height:o*a+r*.4,size:r,points:l}}function Yt(n,s,t){let e=n.points.map((i,r)=>{let o=t[s[r]??""];return o===void 0?i:{x:o.x*n.width,y:o.y*n.height}});return{...n,points:e}}function At(n,s){let t=n.size/2,e=(i,r)=>Math.min(r-t,Math.max(t,i))/r;return{x:e(s.x,n.width),y:e(s.y,n.height)}}var Me=350;function Kt(n,s){return Math.min(10,1.5+Math.abs(n)*(s!==null&&s>50?s:Me)/250)}function Xt(n,s,t,e=0){let i={x:(n.x+s.x)/2,y:(n.y+s.y)/2},r={x:t.width/2,y:t.height/2},o=s.x-n.x,a=s.y-n.y,l=Math.hypot(o,a)||1,d=t.size*.25,c=18*(e+1),p={x:i.x+(r.x-i.x)*.35-a/l*c,y:i.y+(r.y-i.y)*.35+o/l*c},y=v=>{let k=Math.hypot(p.x-v.x,p.y-v.y)||1;return{x:v.x+(p.x-v.x)/k*d,y:v.y+(p.y-v.y)/k*d}},$=y(n),_=y(s),g=v=>`${v.x.toFixed(1)} ${v.y.toFixed(1)}`;return`M${g($)} Q${g(p)} ${g(_)}`}var dt=12,Te={ArrowLeft:{x:-dt,y:0},ArrowRight:{x:dt,y:0},ArrowUp:{x:0,y:-dt},ArrowDown:{x:0,y:dt}},U=class extends w{constructor(){super(...arguments);this.width=480;this.chosen={};this.arranging=!1;this.watched="";this.dragged="";this.sizes=new ResizeObserver(t=>{let e=t[0]?.contentRect.width??0;e>0&&Math.abs(e-this.width)>1&&(this.width=Math.max(280,e-32))})}static{this.styles=[A,S`
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
    `]}static getConfigForm(){return{schema:[{name:"entry_id",selector:{config_entry:{integration:"apis"}}},{name:"title",selector:{text:{}}}]}}static getStubConfig(){return{}}getGridOptions(){return{columns:12,min_columns:6}}connectedCallback(){super.connectedCallback(),this.sizes.observe(this)}disconnectedCallback(){super.disconnectedCallback(),this.sizes.disconnect()}updated(){super.updated(),this.snapshot!==null&&this.watched!==this.entryId&&(this.watched=this.entryId,this.hass?.callWS({type:"frontend/get_user_data",key:this.key}).then(({value:t})=>this.chosen=t??{}))}render(){return this.frame(this.snapshot?.title??this.say("community"),()=>this.picture(),this.head())}get key(){return`apis_places_${this.entryId}`}head(){let t=this.snapshot,e=t!==null&&t.acceleration!==1?` · ${this.say("accelerated",{factor:t.acceleration})}`:"";return h`<span class="soft">${this.named(t?.mode??null)}${e}</span>`}picture(){let t=this.snapshot?.units??[],e=t.map(l=>l.unit_id),i=Jt(t.length,this.width),r=Yt(i,e,this.chosen),o=this.snapshot?.deals??[],a=new Map;return h`<svg class="map ${this.arranging?"arranging":""}" viewBox="0 0 ${r.width} ${r.height}" role="group" aria-label=${this.summary()}>
        ${o.map(l=>{let d=[l.from,l.to].sort().join();return a.set(d,(a.get(d)??-1)+1),this.flow(l,r,e,a.get(d)??0)})}
        ${t.map((l,d)=>this.house(l,r.points[d]??{x:0,y:0},r))}
      </svg>
      <p class="visually-hidden" aria-live="polite">${this.summary()}</p>
      ${this.list(o)} ${this.legend()}`}summary(){let t=this.snapshot?.deals.length??0;return t===0?this.say("nobody_shares"):t===1?this.say("one_deal_runs"):this.say("deals_running",{count:t})}list(t){if(t.length===0)return h`<p class="note soft">${this.say("nobody_shares")}</p>`;let e=t.slice(0,5).map(i=>{let r=Math.round(i.current_a*(this.unit(i.from)?.grid_voltage_v??0)),o=i.state==="started"&&r>0;return h`<li>${o?this.say("shares_now",{from:this.nameOf(i.from),to:this.nameOf(i.to),watts:r}):`${this.nameOf(i.from)} → ${this.nameOf(i.to)}: ${this.named(i.state)}`}</li>`});return h`<ul>${e}${t.length>5?h`<li class="soft">${this.say("deals_running",{count:t.length})}</li>`:u}</ul>`}flow(t,e,i,r){let o=e.points[i.indexOf(t.from)],a=e.points[i.indexOf(t.to)];if(o===void 0||a===void 0)return u;let l=Xt(o,a,e,r),d=Kt(t.current_a,this.unit(t.from)?.grid_voltage_v??null);return t.state!=="started"?D`<path class="stream agreed" d=${l} stroke-width="2"></path>`:D`<path class="stream" d=${l} stroke-width=${d}></path><path class="moving" d=${l} stroke-width=${Math.max(3,d*.8)}></path>`}house(t,e,i){let r=i.size,o=r/2,a=t.state_of_charge_pct,l=Math.max(0,Math.min(100,a??0))/100,d=a!==null&&t.request_below_pct!==null&&a<t.request_below_pct,c=`M${-o} ${-o*.2} L0 ${-o} L${o} ${-o*.2} V${o} H${-o} Z`,p=`clip-${t.unit_id}`,y=r*(1-l),$=r>50,_=["house",t.alive?"":"away",d?"low":""].join(" ");return D`<g
      class=${_}
      transform="translate(${e.x.toFixed(1)} ${e.y.toFixed(1)})"
      tabindex="0"
      role="button"
      aria-label=${this.inWords(t)}
      @click=${()=>this.open_unit(t)}
      @keydown=${g=>this.key_on(g,t,e,i)}
      @pointerdown=${g=>this.begin(g,t)}
      @pointermove=${g=>this.drag(g,i)}
      @pointerup=${()=>this.drop()}
    >
      <clipPath id=${p}><path d=${c}></path></clipPath>
      <path class="wall" d=${c}></path>
      <rect class="fill" clip-path="url(#${p})" x=${-o} y=${-o+y} width=${r} height=${r-y}></rect>
      <path class="wall" style="fill:none" d=${c}></path>
      <text class="pct" y="${o*.45}" style="font-size:${Math.max(11,r*.22)}px">${a===null?"?":`${Math.round(a)}%`}</text>
      ${t.is_grid_master?this.crown(-o*.95,-o*.85):u} ${t.is_voltage_reference?this.wave(o*.95,-o*.85):u}
      ${$?D`<text class="label" y=${o+14}>${t.name}</text> <text class="label small" y=${o+28}>${this.below(t)}</text>`:u}
    </g>`}crown(t,e){return D`<g transform="translate(${t.toFixed(1)} ${e.toFixed(1)})"><circle class="badge" r="10"></circle><path class="sign" d="M-6 4 L-7 -4 L-3 -0.5 L0 -6 L3 -0.5 L7 -4 L6 4 Z"></path></g>`}wave(t,e){return D`<g transform="translate(${t.toFixed(1)} ${e.toFixed(1)})"><circle class="badge" r="10"></circle><path class="wave" d="M-6.5 0 q3.2 -7 6.5 0 t6.5 0"></path></g>`}below(t){if(!t.alive)return this.say("away");if(t.wish!==null&&t.converter_mode==="WAIT")return this.wish(t);let e=t.solar_w===null?"":`☀ ${P(t.solar_w)}`,i=t.load_w===null?"":`⌂ ${P(t.load_w)}`;return[e,i].filter(Boolean).join(" ")}wish(t){return t.wish===null?"":this.say(t.wish.direction==="charge"?"asks":"offers",{wh:t.wish.amountWh})}inWords(t){let e={CHARGE:this.say("charge"),DISCHARGE:this.say("discharge"),VOLTAGE_REFERENCE:this.say("voltage_reference_mode"),WAIT:this.say("wait")},i=t.state_of_charge_pct;return[`${i===null?"?":`${Math.round(i)}%`} ${t.name} ${this.below(t)}`,t.alive?e[t.converter_mode??""]??"":this.say("away"),t.is_grid_master?this.say("grid_master"):"",t.is_voltage_reference?this.say("voltage_reference"):"",this.wish(t),t.solar_w===null?"":`${this.say("solar")} ${P(t.solar_w)}`,t.load_w===null?"":`${this.say("load")} ${P(t.load_w)}`].filter(Boolean).join(", ")}legend(){let t=e=>h`<svg viewBox="-12 -12 24 24" aria-hidden="true">${e}</svg>`;return h`<div class="legend note soft">
      <span>${t(this.crown(0,0))} ${this.say("grid_master")}</span>
      <span>${t(this.wave(0,0))} ${this.say("voltage_reference")}</span>
      <span style="margin-left:auto">
        ${this.arranging?h`<button @click=${()=>this.keep({})}>${this.say("arrange_again")}</button> <button class="main" @click=${()=>this.arranging=!1}>${this.say("arrange_done")}</button>`:h`<button class="plain" @click=${()=>this.arranging=!0}>${this.say("arrange")}</button>`}
      </span>
      ${this.arranging?h`<span role="status">${this.say("arrange_hint")}</span>`:u}
    </div>`}open_unit(t){let e=this.things?.units[t.unit_id]?.entities.state_of_charge;this.arranging||e===void 0||this.dispatchEvent(new CustomEvent("hass-more-info",{bubbles:!0,composed:!0,detail:{entityId:e}}))}key_on(t,e,i,r){let o=Te[t.key];this.arranging&&o!==void 0?(t.preventDefault(),this.keep({...this.chosen,[e.unit_id]:At(r,{x:i.x+o.x,y:i.y+o.y})})):(t.key==="Enter"||t.key===" ")&&(t.preventDefault(),this.open_unit(e))}begin(t,e){this.arranging&&(this.dragged=e.unit_id,t.currentTarget.setPointerCapture(t.pointerId))}drag(t,e){if(this.dragged==="")return;let i=this.renderRoot.querySelector("svg.map");if(i===null)return;let r=i.getBoundingClientRect(),o={x:(t.clientX-r.left)/r.width*e.width,y:(t.clientY-r.top)/r.height*e.height};this.chosen={...this.chosen,[this.dragged]:At(e,o)}}drop(){this.dragged!==""&&(this.dragged="",this.keep(this.chosen))}async keep(t){this.chosen=t,await this.hass?.callWS({type:"frontend/set_user_data",key:this.key,value:t})}};m([f()],U.prototype,"width",2),m([f()],U.prototype,"chosen",2),m([f()],U.prototype,"arranging",2);function Qt(n,s){let t=n.amount_wh>0?Math.max(0,Math.min(1,n.exchanged_wh/n.amount_wh)):0,e=n.current_a*(s!==null&&s>50?s:350);return n.state!=="started"||e<=0?{part:t,minutesLeft:null}:{part:t,minutesLeft:Math.max(0,n.amount_wh-n.exchanged_wh)/e*60}}function te(n,s,t){return n.filter(e=>(s===""||e.from===s||e.to===s)&&(t===""||e.state===t))}var Zt=["deal_id","created","started","ended","from","to","state","amount_wh","exchanged_wh","current_a","point_per_wh","reason"];function ee(n){let s=t=>{let e=t==null?"":String(t);return typeof t=="string"&&/^[=+\-@\t\r]/.test(e)&&(e=`'${e}`),/[",\r\n]/.test(e)?`"${e.replaceAll('"','""')}"`:e};return[Zt.join(","),...n.map(t=>Zt.map(e=>s(t[e])).join(","))].join(`\r
`)+`\r
`}function Et(n,s,t){let e=document.createElement("a");e.href=URL.createObjectURL(new Blob([t],{type:s})),e.download=n,e.click(),setTimeout(()=>URL.revokeObjectURL(e.href),1e3)}var We=["created","started","completed","aborted"],se=864e5,Ce=200,x=class extends w{constructor(){super(...arguments);this.from=ie(new Date(Date.now()-se));this.to=ie(new Date);this.unitId="";this.wantedState="";this.deals=null;this.opened=null;this.trouble="";this.asked=""}static{this.styles=[A,S`
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
    `]}static getConfigForm(){return{schema:[{name:"entry_id",selector:{config_entry:{integration:"apis"}}},{name:"title",selector:{text:{}}}]}}static getStubConfig(){return{}}getGridOptions(){return{columns:12,min_columns:6}}updated(){super.updated(),this.look()}render(){return this.frame(this.say("deals"),()=>this.body())}body(){let t=new Map((this.snapshot?.deals??[]).map(a=>[a.deal_id,a])),e=(this.deals??[]).map(a=>t.get(a.deal_id)??a),i=te(e,this.unitId,this.wantedState).toReversed(),r=this.snapshot?.units??[],o=a=>l=>a(l.target.value);return h`<div class="row note">
        <label>${this.say("from")}<input type="date" .value=${this.from} max=${this.to} @change=${o(a=>this.from=a||this.from)} /></label>
        <label>${this.say("to")}<input type="date" .value=${this.to} min=${this.from} @change=${o(a=>this.to=a||this.to)} /></label>
        <label>${this.say("choose_house")}
          <select @change=${o(a=>this.unitId=a)}>
            <option value="">${this.say("all_houses")}</option>
            ${r.map(a=>h`<option value=${a.unit_id}>${a.name}</option>`)}
          </select>
        </label>
        <label>${this.say("state")}
          <select @change=${o(a=>this.wantedState=a)}>
            <option value="">${this.say("all_states")}</option>
            ${We.map(a=>h`<option value=${a}>${this.named(a)}</option>`)}
          </select>
        </label>
        <button ?disabled=${i.length===0} @click=${()=>Et(`deals-${this.from}-${this.to}.csv`,"text/csv",ee(i))}>${this.say("csv")}</button>
        <button ?disabled=${i.length===0} @click=${()=>Et(`deals-${this.from}-${this.to}.json`,"application/json",JSON.stringify(i,null,2))}>${this.say("json")}</button>
      </div>
      ${this.trouble===""?u:h`<p class="note bad" role="alert">${this.trouble}</p>`}
      ${this.deals!==null&&i.length===0?h`<p class="note soft">${this.say("no_deals")}</p>`:this.table(i)} ${this.detail()}`}table(t){return h`<div class="table" tabindex="0" role="region" aria-label=${this.say("deals")}>
      <table>
        <thead>
          <tr><th>${this.say("time")}</th><th>${this.say("giver")}</th><th>${this.say("taker")}</th><th class="number">${this.say("energy")}</th><th>${this.say("state")}</th></tr>
        </thead>
        <tbody>
          ${t.slice(0,Ce).map(e=>h`<tr>
              <td><button @click=${()=>this.show(e)}>${this.moment(e.created)}</button></td>
              <td>${this.nameOf(e.from)}</td>
              <td>${this.nameOf(e.to)}</td>
              <td class="number">${e.exchanged_wh.toFixed(0)} / ${e.amount_wh} Wh</td>
              <td class=${e.state==="aborted"?"bad":""}>${this.named(e.state)}</td>
            </tr>`)}
        </tbody>
      </table>
    </div>`}detail(){let t=this.opened,e=t===null?[]:[[this.say("giver"),this.nameOf(t.from)],[this.say("taker"),this.nameOf(t.to)],[this.say("agreed"),`${t.amount_wh} Wh · ${t.current_a} A`],[this.say("exchanged"),`${t.exchanged_wh.toFixed(1)} Wh`],[this.say("price"),t.point_per_wh===null?"–":`${(t.point_per_wh*t.exchanged_wh).toFixed(0)} (${t.point_per_wh} / Wh)`],[this.say("created"),this.moment(t.created)],[this.say("started"),t.started===null?"–":this.moment(t.started)],[this.say("ended"),t.ended===null?"–":this.moment(t.ended)],[this.say("state"),this.named(t.state)],...t.reason===null?[]:[[this.say("reason"),t.reason]]],i=t!==null&&t.ended===null&&this.isAdmin;return h`<dialog aria-label=${this.say("deals")} @close=${()=>this.opened=null}>
      <dl>${e.map(([r,o])=>h`<dt>${r}</dt><dd>${o}</dd>`)}</dl>
      <div class="row">
        ${i?h`<button @click=${()=>this.stop(t)}>${this.say("stop_deal")}</button>`:u}
        <button class="main" @click=${()=>this.dialog?.close()}>${this.say("close")}</button>
      </div>
    </dialog>`}moment(t){return new Date(t).toLocaleString(this.hass?.language,{month:"short",day:"numeric",hour:"2-digit",minute:"2-digit"})}show(t){this.opened=t,this.updateComplete.then(()=>this.dialog?.showModal())}async stop(t){this.dialog?.close();try{await this.hass?.callService("apis","stop_deal",{deal_id:t.deal_id,config_entry_id:this.entryId})}catch(e){this.trouble=String(e.message??e)}}async look(){if(this.snapshot===null||this.hass===void 0)return;let t=this.snapshot.deals.map(r=>`${r.deal_id}${r.state}`).join(),e=[this.entryId,this.from,this.to,t].join("|");if(e===this.asked)return;this.asked=e;let i=new Date(new Date(`${this.to}T00:00:00`).getTime()+se);try{this.deals=await this.hass.callWS({type:"apis/deals",entry_id:this.entryId,from:new Date(`${this.from}T00:00:00`).toISOString(),to:i.toISOString()}),this.trouble=""}catch(r){this.trouble=String(r.message??r)}}};m([f()],x.prototype,"from",2),m([f()],x.prototype,"to",2),m([f()],x.prototype,"unitId",2),m([f()],x.prototype,"wantedState",2),m([f()],x.prototype,"deals",2),m([f()],x.prototype,"opened",2),m([f()],x.prototype,"trouble",2),m([H("dialog")],x.prototype,"dialog",2);function ie(n){return`${n.getFullYear()}-${String(n.getMonth()+1).padStart(2,"0")}-${String(n.getDate()).padStart(2,"0")}`}function z(n){let s=t=>String(t).padStart(2,"0");return`${s(Math.floor(n/3600))}:${s(Math.floor(n/60)%60)}:${s(n%60)}`}function ht(n){let[s=0,t=0,e=0]=n.split(":").map(Number);return s*3600+t*60+e}function ct(n){let s={},t=[];for(let[e,i]of Object.entries(n)){if(!e.includes("-")){s[e]=i;continue}let r=i,[o="",a=""]=e.split("-"),l=Object.entries(r.batteryStatus??{}).map(([d,c])=>({name:c,fromWh:Number(d.split("-")[0]||0),request:ne(r.request,c),accept:ne(r.accept,c)})).sort((d,c)=>d.fromWh-c.fromWh);t.push({startS:ht(o),endS:ht(a),strategy:r.acceptSelection?.strategy??"amount",statuses:l})}return t.sort((e,i)=>e.startS-i.startS),{rest:s,parts:t}}function ne(n,s){let t={};for(let[e,i]of Object.entries(n?.[s]??{}))t[e]={limitWh:i.limitWh,pointPerWh:i.pointPerWh??null,pairUnitId:i.pairUnitId??null};return t}function q(n){let s={...n.rest};for(let t of n.parts){let e={};t.statuses.forEach((r,o)=>{let a=t.statuses[o+1];e[`${o===0?"":r.fromWh}-${a===void 0?"":a.fromWh}`]=r.name});let i=r=>Object.fromEntries(t.statuses.filter(o=>Object.keys(o[r]).length>0).map(o=>[o.name,Oe(o[r])]));s[`${z(t.startS)}-${z(t.endS)}`]={acceptSelection:{strategy:t.strategy},batteryStatus:e,request:i("request"),accept:i("accept")}}return s}function Oe(n){let s={};for(let[t,e]of Object.entries(n)){let i={limitWh:Math.round(e.limitWh)};e.pointPerWh!==null&&(i.pointPerWh=e.pointPerWh),e.pairUnitId!==null&&(i.pairUnitId=e.pairUnitId),s[t]=i}return s}function pt(n,s,t){return{...n,parts:n.parts.map((e,i)=>i===s?{...e,...t}:e)}}function re(n,s,t,e){let i=n.parts[s]?.statuses.map((r,o)=>o===t?{...r,...e}:r)??[];return pt(n,s,{statuses:i})}function oe(n,s,t,e,i,r){let a={...n.parts[s]?.statuses[t]?.[e]??{}};return r===null?delete a[i]:a[i]=r,re(n,s,t,{[e]:a})}function ae(n,s,t,e,i){let r=n.parts[s]?.statuses??[],o=(r[t-1]?.fromWh??0)+1,a=(r[t+1]?.fromWh??i)-1;return re(n,s,t,{fromWh:Math.round(Math.min(a,Math.max(o,e)))})}function le(n){let s=a=>a.endS>a.startS?a.endS-a.startS:86400-a.startS+a.endS,t=n.parts.reduce((a,l,d)=>s(l)>s(n.parts[a]??l)?d:a,0),e=n.parts[t];if(e===void 0)return n;let i=(e.startS+Math.round(s(e)/2/900)*900)%86400,r=[{...e,endS:i===0?86400:i},{...structuredClone(e),startS:i}],o=[...n.parts.slice(0,t),...r,...n.parts.slice(t+1)];return{...n,parts:o.sort((a,l)=>a.startS-l.startS)}}function de(n,s){if(n.parts.length<2)return n;let t=n.parts[s],e=(s+n.parts.length-1)%n.parts.length,i=n.parts.map((r,o)=>o===e&&t!==void 0?{...r,endS:t.endS}:r).filter((r,o)=>o!==s);return i.length===1&&i[0]!==void 0&&(i[0]={...i[0],startS:0,endS:86400}),{...n,parts:i}}var De=["request","accept"],Ie=["charge","discharge"],He=350,Ue=50,b=class extends w{constructor(){super(...arguments);this.unitId="";this.draft=null;this.versions=[];this.past=[];this.tried=null;this.trouble="";this.said="";this.loaded="";this.saved="";this.timer=0}static{this.styles=[A,S`
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
    `]}static getConfigForm(){return{schema:[{name:"entry_id",selector:{config_entry:{integration:"apis"}}},{name:"unit_id",selector:{text:{}}},{name:"title",selector:{text:{}}}]}}static getStubConfig(){return{}}getGridOptions(){return{columns:12,min_columns:6}}disconnectedCallback(){super.disconnectedCallback(),clearTimeout(this.timer)}updated(){super.updated();let t=this.config.unit_id??this.snapshot?.units[0]?.unit_id??"";this.unitId===""&&t!==""&&(this.unitId=t),this.unitId!==""&&this.loaded!==`${this.entryId}/${this.unitId}`&&this.load()}render(){let t=this.snapshot?.units??[],e=h`<label>${this.say("choose_house")}
      <select @change=${i=>this.unitId=i.target.value}>
        ${t.map(i=>h`<option value=${i.unit_id} ?selected=${i.unit_id===this.unitId}>${i.name}</option>`)}
      </select>
    </label>`;return this.frame(this.say("scenario"),()=>this.body(),this.config.unit_id===void 0?e:u)}body(){let t=this.draft;if(t===null)return h`<p class="note ${this.trouble===""?"soft":"bad"}" role="status">${this.trouble||"…"}</p>`;let e=JSON.stringify(q(t))!==this.saved,i=this.unit(this.unitId);return h`<p class="note" role="status">${this.trouble===""?this.wouldDo():h`<span class="bad">${this.trouble}</span>`}</p>
      ${this.day()} ${t.parts.map((r,o)=>this.band(t,o,i?.capacity_wh??4800))}
      <div class="row note">
        <button @click=${()=>this.change(le(t))}>${this.say("add_band")}</button>
        <button ?disabled=${this.past.length===0} @click=${()=>this.undo()}>${this.say("undo")}</button>
        <button @click=${()=>this.exchange()}>${this.say("import")} / ${this.say("export")}</button>
        ${this.versions.length===0?u:this.history()}
        <button class="main" style="margin-inline-start:auto" ?disabled=${!e||this.trouble!==""} @click=${()=>this.save()}>${this.say("save")}</button>
      </div>
      <p class="note soft" role="status">${e?this.say("unsaved"):this.said}</p>
      <dialog aria-label=${this.say("scenario")}>
        <textarea aria-label="JSON" spellcheck="false"></textarea>
        <div class="row">
          <button class="main" @click=${()=>this.take()}>${this.say("apply")}</button>
          <button @click=${()=>{navigator.clipboard?.writeText(this.text?.value??"")}}>${this.say("export")}</button>
          <button @click=${()=>this.dialog?.close()}>${this.say("close")}</button>
        </div>
      </dialog>`}band(t,e,i){let r=t.parts[e];if(r===void 0)return h``;let o=(l,d,c)=>h`<label>${this.say(l)}<input type="time" .value=${z(d%86400).slice(0,5)} @change=${p=>this.change(c(ht(p.target.value)))} /></label>`,a=l=>((r.statuses[l+1]?.fromWh??i)-(r.statuses[l]?.fromWh??0))/i;return h`<fieldset>
      <legend>${z(r.startS).slice(0,5)} – ${z(r.endS).slice(0,5)}</legend>
      <div class="row">
        ${o("begins",r.startS,l=>pt(t,e,{startS:l}))} ${o("ends",r.endS,l=>pt(t,e,{endS:l||86400}))}
        ${t.parts.length>1?h`<button @click=${()=>this.change(de(t,e))}>${this.say("remove_band")}</button>`:u}
      </div>
      <div class="scale" aria-hidden="true">${r.statuses.map((l,d)=>h`<div style="width:${Math.max(0,a(d))*100}%">${l.name} ${d===0?"":`${Math.round(l.fromWh/i*100)} %`}</div>`)}</div>
      ${r.statuses.slice(1).map((l,d)=>{let c=this.say("boundary",{status:l.name});return h`<label>${c}: ${l.fromWh} Wh (${Math.round(l.fromWh/i*100)} %)
          <input type="range" min="0" max=${i} step="10" .value=${String(l.fromWh)} @change=${p=>this.change(ae(t,e,d+1,Number(p.target.value),i))} />
        </label>`})}
      ${r.statuses.map((l,d)=>h`<h3>${l.name}</h3>
          ${De.map(c=>Ie.map(p=>this.wish(t,e,d,c,p,i)))}`)}
    </fieldset>`}wish(t,e,i,r,o,a){let l=t.parts[e]?.statuses[i]?.name??"",d=t.parts[e]?.statuses[i]?.[r][o],c=`${this.say(r)} ${this.say(o==="charge"?"charge_wish":"discharge_wish")}`,p=_=>{let g={limitWh:Math.round(a/2),pointPerWh:10,pairUnitId:null,...d,..._};this.change(oe(t,e,i,r,o,_===null?null:g))},y=_=>_.target.value,$=this.say(o==="charge"?"up_to":"down_to");return h`<div class="wish">
      <label class="tick"><input type="checkbox" .checked=${d!==void 0} aria-label=${`${l}: ${c}`} @change=${_=>p(_.target.checked?{}:null)} />${c}${d===void 0?"":` ${$} ${d.limitWh} Wh`}</label>
      ${d===void 0?u:h`<input type="range" min="0" max=${a} step="10" aria-label=${`${l}: ${c} ${$} (Wh)`} .value=${String(d.limitWh)} @change=${_=>p({limitWh:Number(y(_))})} />
            <label>${this.say("points_per_wh")}<input type="number" min="0" step="0.1" .value=${d.pointPerWh===null?"":String(d.pointPerWh)} @change=${_=>p({pointPerWh:y(_)===""?null:Number(y(_))})} /></label>`}
    </div>`}history(){let t=i=>{let r=i.target,o=this.versions[Number(r.value)];r.value="",o!==void 0&&this.change(ct(o.scenario))},e=this.versions.map((i,r)=>({version:i,i:r})).toReversed().slice(0,30);return h`<label>${this.say("versions")}
      <select @change=${t}>
        <option value="">–</option>
        ${e.map(({version:i,i:r})=>h`<option value=${r}>${new Date(i.time).toLocaleString(this.hass?.language,{dateStyle:"short",timeStyle:"short"})} · ${i.who}</option>`)}
      </select>
    </label>`}wouldDo(){let t=this.tried?.now;if(t===void 0)return"";let e=(r,o)=>this.say(`preview_${r}_${o.direction}`,{wh:o.amountWh,points:o.pointPerWh??this.say("any_price")}),i=t.request===null?t.accept.map(r=>e("accepts",r)):[e("asks",t.request)];return this.say("preview_now",{what:i.length===0?this.say("preview_nothing"):i.join(", ")})}day(){if(this.tried===null)return u;let t=e=>(e.request??e.accept[0])?.direction??"";return h`<div class="hours" aria-hidden="true">${this.tried.hours.map(e=>h`<div class=${t(e)} title=${`${e.hour}:00 ${e.status??""}`}></div>`)}</div>
      <div class="clock" aria-hidden="true">${[0,6,12,18,24].map(e=>h`<span>${e}:00</span>`)}</div>`}change(t){this.draft!==null&&JSON.stringify(this.draft)===JSON.stringify(t)||(this.draft!==null&&(this.past=[...this.past,this.draft].slice(-Ue)),this.draft=t,this.said="",this.ask())}undo(){let t=this.past.at(-1);t!==void 0&&(this.past=this.past.slice(0,-1),this.draft=t,this.ask())}exchange(){this.dialog?.showModal(),this.text!==void 0&&this.draft!==null&&(this.text.value=JSON.stringify(q(this.draft),null,2))}take(){try{this.change(ct(JSON.parse(this.text?.value??""))),this.dialog?.close()}catch(t){this.text?.setCustomValidity(String(t)),this.text?.reportValidity(),this.text?.setCustomValidity("")}}ask(){clearTimeout(this.timer),this.timer=window.setTimeout(()=>{let t=this.draft;if(t===null)return;let e={type:"apis/preview",entry_id:this.entryId,unit_id:this.unitId,scenario:q(t)};this.attempt(async()=>this.tried=await this.hass?.callWS(e)??null)},He)}async load(){this.loaded=`${this.entryId}/${this.unitId}`,this.draft=null,this.past=[],this.said="",await this.attempt(async()=>{let t=await this.hass?.callWS({type:"apis/scenario",entry_id:this.entryId,unit_id:this.unitId});t!==void 0&&(this.versions=t.versions,this.draft=ct(t.scenario),this.saved=JSON.stringify(q(this.draft)),this.ask())})}async save(){let t=this.draft;t!==null&&await this.attempt(async()=>{await this.hass?.callWS({type:"apis/set_scenario",entry_id:this.entryId,unit_id:this.unitId,scenario:q(t)}),this.said=this.say("saved"),await this.reload()})}async reload(){let t=this.said;await this.load(),this.said=t}async attempt(t){try{await t(),this.trouble=""}catch(e){this.trouble=String(e.message??e)}}};m([f()],b.prototype,"unitId",2),m([f()],b.prototype,"draft",2),m([f()],b.prototype,"versions",2),m([f()],b.prototype,"past",2),m([f()],b.prototype,"tried",2),m([f()],b.prototype,"trouble",2),m([f()],b.prototype,"said",2),m([H("dialog")],b.prototype,"dialog",2),m([H("textarea")],b.prototype,"text",2);var tt=class{static async generate(s,t){let e=await lt(t,!0),i=e.find(a=>a.entry_id===s.entry_id)??e[0];if(i===void 0)return{views:[{title:"APIS",cards:[{type:"custom:apis-community-card"}]}]};let r=await Ne(t,i.entry_id),o=await t.callWS({type:"apis/entities",entry_id:i.entry_id});return{title:i.title,views:je(t,i.entry_id,r,o)}}static getCreateSuggestions(){return{title:"APIS",icon:"mdi:home-battery"}}};function Ne(n,s){return new Promise(t=>{let e=at(n,s).listen(i=>{t(i),setTimeout(()=>e(),2e3)});setTimeout(()=>t(null),5e3)})}function Le(n,s,t){if(t===void 0)return[];let e=String(n.states[t]?.attributes.friendly_name??t);return[{entity:t,name:e.replace(s,"").replace(/^[\s▸]+/,"")||e}]}function je(n,s,t,e){let i=g=>Q(n.language,g),r=t?.units??[],o=(g,v={})=>({type:`custom:apis-${g}-card`,entry_id:s,...v}),a=(...g)=>({type:"grid",cards:g}),l=(...g)=>({type:"grid",column_span:2,cards:g}),d=e.entities,c=(g,v,k={})=>g===void 0?[]:[{type:"tile",entity:g,name:i(v),...k}],p=[...c(d.community_mode,"mode",{features:[{type:"select-options"}],grid_options:{columns:"full"}}),...c(d.energy_shared_today,"shared_today"),...c(d.self_sufficiency,"self_sufficiency"),...c(d.stop_all,"stop_all",{hide_state:!0,tap_action:{action:"more-info"},grid_options:{columns:"full"}})],y=g=>r.map(v=>e.units[v.unit_id]?.entities[g]).filter(v=>v!==void 0),$=(g,v)=>y(v).length===0?[]:[{type:"history-graph",title:g,hours_to_show:24,entities:y(v),grid_options:{columns:"full"}}],_=[{title:i("overview"),path:"overview",icon:"mdi:home-group",type:"sections",max_columns:3,sections:[l({...o("community"),grid_options:{columns:"full"}}),a(...p),l({...o("deals"),grid_options:{columns:"full"}})]},{title:i("houses"),path:"houses",icon:"mdi:home-battery",type:"sections",max_columns:3,sections:r.map(g=>a({...o("unit",{unit_id:g.unit_id}),grid_options:{columns:"full"}}))},{title:i("scenario"),path:"scenario",icon:"mdi:script-text",type:"sections",max_columns:2,sections:[l({...o("scenario"),grid_options:{columns:"full"}})]},{title:i("history"),path:"history",icon:"mdi:chart-line",type:"sections",max_columns:1,sections:[a(...$(i("battery"),"state_of_charge"),...$(i("line"),"grid_power"))]}];if(t?.isAdmin===!0){let g=["converter_mode","grid_voltage","grid_current","exchange_permitted","alarm","connectivity","last_error"],v=r.map(k=>({type:"entities",title:k.name,entities:g.flatMap(ce=>Le(n,k.name,e.units[k.unit_id]?.entities[ce]))}));_.push({title:i("commissioning"),path:"commissioning",icon:"mdi:tools",type:"sections",max_columns:3,sections:v.map(k=>a({...k,grid_options:{columns:"full"}}))})}return _}var ze=["follow","heteronomous","stop"],qe=["balanced","reserve","generous","self_use","storm"],Fe=[["wait","wait"],["voltage_reference","voltage_reference_mode"],["charge","charge"],["discharge","discharge"]],Be={WAIT:"wait",CHARGE:"charge",DISCHARGE:"discharge",VOLTAGE_REFERENCE:"voltage_reference_mode"},N=class extends w{constructor(){super(...arguments);this.trouble="";this.chart=null;this.charted=""}static{this.styles=[A,S`
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
    `]}static getConfigForm(){return{schema:[{name:"entry_id",selector:{config_entry:{integration:"apis"}}},{name:"unit_id",selector:{text:{}}},{name:"title",selector:{text:{}}}]}}static getStubConfig(){return{}}getGridOptions(){return{columns:6,min_columns:4}}updated(){super.updated(),this.draw(),this.chart!==null&&(this.chart.hass=this.hass)}render(){let t=this.mine;return this.frame(t?.name??this.say("unit"),()=>t===void 0?h`<p class="note soft">${this.say("not_known")}</p>`:this.body(t),this.roles(t))}get mine(){return this.config.unit_id===void 0?this.snapshot?.units[0]:this.unit(this.config.unit_id)}roles(t){if(t===void 0)return u;let e=[t.is_grid_master?this.say("grid_master"):"",t.is_voltage_reference?this.say("voltage_reference"):""];return h`<span class="soft">${e.filter(Boolean).join(" · ")}</span>`}body(t){let e=t.state_of_charge_pct,i=e!==null&&t.request_below_pct!==null&&e<t.request_below_pct,r=(this.snapshot?.deals??[]).filter(l=>l.from===t.unit_id||l.to===t.unit_id),o=t.alive?Be[t.converter_mode??""]:"away",a=(l,d)=>h`<div><span class="soft">${this.say(l)}</span><b>${d}</b></div>`;return h`<div class="figures">
        ${a("battery",e===null?"–":`${e.toFixed(1)} %`)} ${t.solar_w===null?u:a("solar",P(t.solar_w))}
        ${t.load_w===null?u:a("load",P(t.load_w))} ${a("line",P(t.grid_power_w===null?null:Math.abs(t.grid_power_w)))}
      </div>
      <div class="bar ${i?"low":""}" role="progressbar" aria-label=${this.say("battery")} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(e??0)}>
        <div style="width:${e??0}%"></div>
      </div>
      <p class="note">${o===void 0?this.say("not_known"):this.say(o)}${this.wishes(t)}</p>
      <h3>${this.say("running")}</h3>
      ${r.length===0?h`<p class="note soft">${this.say("none_running")}</p>`:r.map(l=>this.deal(l,t))}
      ${this.chart===null?u:h`<h3>${this.say("today")}</h3><div class="day">${this.chart}</div>`} ${this.controls(t)}`}wishes(t){return t.wish===null?"":` · ${this.say(t.wish.direction==="charge"?"asks":"offers",{wh:t.wish.amountWh})}`}deal(t,e){let i=t.from===e.unit_id,{part:r,minutesLeft:o}=Qt(t,this.unit(t.from)?.grid_voltage_v??null),a=this.nameOf(i?t.to:t.from),l=`${i?"→":"←"} ${a}`,d=o===null?this.named(t.state):this.say("left",{minutes:Math.ceil(o)});return h`<div class="deal">
      <div class="head"><span>${l}</span><span class="soft">${t.exchanged_wh.toFixed(0)} / ${t.amount_wh} Wh · ${d}</span></div>
      <div class="bar" role="progressbar" aria-label=${l} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(r*100)}><div style="width:${r*100}%"></div></div>
    </div>`}controls(t){let e=this.things?.units[t.unit_id]?.entities??{},i=t.local_mode??"follow",r=(o,a)=>o.map(l=>h`<option value=${l} ?selected=${l===a}>${this.named(l)}</option>`);return h`<div class="row note">
        <label>${this.say("own_mode")}
          <select .value=${i} @change=${o=>this.set(e.unit_mode,o)}>${r(ze,i)}</select>
        </label>
        <label>${this.say("preset")}
          <select .value=${t.preset??"custom"} @change=${o=>this.set(e.scenario_preset,o)}>
            ${t.preset===null?h`<option value="custom" selected disabled>${this.say("custom")}</option>`:u} ${r(qe,t.preset??"")}
          </select>
        </label>
        ${this.isAdmin?h`<button @click=${()=>this.dialog?.showModal()}>${this.say("by_hand")}</button>`:u}
      </div>
      ${this.trouble===""?u:h`<p class="note bad" role="alert">${this.trouble}</p>`} ${this.isAdmin?this.hand(t):u}`}hand(t){let e=this.snapshot?.mode==="manual";return h`<dialog aria-label=${`${this.say("by_hand")}: ${t.name}`}>
      <h2>${this.say("by_hand")}: ${t.name}</h2>
      <p class=${e?"bad":"soft"}>${this.say(e?"by_hand_warning":"by_hand_only")}</p>
      <form method="dialog" @submit=${i=>this.command(i,t)}>
        <div class="row">
          <label>${this.say("action")}
            <select name="mode" ?disabled=${!e}>${Fe.map(([i,r])=>h`<option value=${i}>${this.say(r)}</option>`)}</select>
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
    </dialog>`}async set(t,e){await this.attempt(()=>this.choose(t,e.target.value))}async command(t,e){if(t.submitter.value!=="send")return;let i=new FormData(t.target),r=l=>i.get(l)?Number(i.get(l)):void 0,o={device_id:this.things?.units[e.unit_id]?.device_id,mode:i.get("mode"),current_a:r("current"),voltage_v:r("voltage"),duration:{minutes:r("minutes")??5}},a=Object.fromEntries(Object.entries(o).filter(([,l])=>l!==void 0));await this.attempt(()=>this.hass?.callService("apis","control_converter",a))}async attempt(t){try{this.trouble="",await t()}catch(e){this.trouble=e instanceof Error?e.message:String(e.message??e)}}async draw(){let t=this.mine,e=this.things?.units[t?.unit_id??""]?.entities;if(t===void 0||e===void 0||this.charted===t.unit_id||window.loadCardHelpers===void 0||(this.charted=t.unit_id,e.state_of_charge===void 0))return;let i=await window.loadCardHelpers();this.chart=i.createCardElement({type:"history-graph",hours_to_show:24,entities:[{entity:e.state_of_charge,name:this.say("battery")}]})}};m([f()],N.prototype,"trouble",2),m([f()],N.prototype,"chart",2),m([H("dialog")],N.prototype,"dialog",2);var Ve=[{type:"apis-community-card",card:U,name:"APIS community",description:"Who gives energy to whom: houses on one line, as it happens"},{type:"apis-unit-card",card:N,name:"APIS house",description:"One house: battery, converter, running deals, its day, and what may be set"},{type:"apis-deals-card",card:x,name:"APIS deals",description:"Every deal of some days, to look through and to take away"},{type:"apis-scenario-card",card:b,name:"APIS scenario",description:"What a house wants at each time of the day, tried before it is saved"}];window.customCards??=[];for(let{type:n,card:s,name:t,description:e}of Ve)customElements.get(n)===void 0&&customElements.define(n,s),window.customCards.push({type:n,name:t,description:e,preview:!0});customElements.get("ll-strategy-dashboard-apis")===void 0&&customElements.define("ll-strategy-dashboard-apis",class extends HTMLElement{static{this.generate=tt.generate}static{this.getCreateSuggestions=tt.getCreateSuggestions}});window.customStrategies??=[];window.customStrategies.push({type:"apis",strategyType:"dashboard",name:"APIS",description:"A community: what happens now, every house, history and commissioning"});
